import {
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLSchema,
  Kind,
  type OperationDefinitionNode,
} from 'graphql';
import type { Context } from '../context.ts';
import { compileArguments, type ReadArguments } from './compiled-input.ts';
import { compileSelections, type Write } from './compiled-output.ts';

/**
 * An operation of one root field, made ready once for its document: what the arguments of a request are, and the
 * JSON that answers it. Signals and events go this way.
 */
export interface CompiledOperation {
  readonly operation: 'query' | 'mutation' | 'subscription';
  readonly name: string | undefined;
  readonly field: GraphQLField<unknown, Context, Readonly<Record<string, unknown>>>;
  readonly node: FieldNode;
  /** Under which the field stands in the answer. */
  readonly key: string;
  readonly read: ReadArguments;
  /** `data` of the answer; throws where a value is not what the schema says. */
  readonly write: Write;
}

/** `document`: validated. Null where graphql-js has to run it. */
export function compileOperation(schema: GraphQLSchema, document: DocumentNode): CompiledOperation | null {
  const fragments = new Map<string, FragmentDefinitionNode>();
  const operations: OperationDefinitionNode[] = [];
  for (const definition of document.definitions) {
    if (definition.kind === Kind.OPERATION_DEFINITION) operations.push(definition);
    else if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const [only, ...others] = operations;
  const [node, ...more] = only?.selectionSet.selections ?? [];
  if (only === undefined || others.length > 0 || more.length > 0 || node?.kind !== Kind.FIELD) return null;
  if (only.directives?.length || node.directives?.length) return null;
  const field = schema.getRootType(only.operation)?.getFields()[node.name.value];
  if (field === undefined) return null;
  const read = compileArguments(schema, field, node.arguments ?? [], only.variableDefinitions ?? []);
  const selections = node.selectionSet === undefined ? [] : [node.selectionSet];
  const write = compileSelections(schema, fragments, field.type, selections);
  if (read === null || write === null) return null;
  const key = node.alias?.value ?? node.name.value;
  const head = `{${JSON.stringify(key)}:`;
  return {
    operation: only.operation,
    name: only.name?.value,
    field,
    node,
    key,
    read,
    write: (value) => `${head}${write(value)}}`,
  };
}
