import {
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLAbstractType,
  type GraphQLField,
  type GraphQLLeafType,
  type GraphQLObjectType,
  type GraphQLOutputType,
  type GraphQLSchema,
  isAbstractType,
  isEnumType,
  isLeafType,
  isListType,
  isNonNullType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionSetNode,
} from 'graphql';

/**
 * What a selection makes of a value, as JSON and in one go: made ready once for a document, and without the
 * objects, promises and lists of errors between. Only for fields that are properties of their object; where a
 * document asks for one that is resolved, it goes the ordinary way.
 */

/** Throws where the value is not what its type wants: a fault of the server. */
export type Write = (value: unknown) => string;

/**
 * `extensions.asJson` of a field: its value stands beside it as JSON too, laid out as a selection of just these fields in
 * this order makes it. Who asks for them so gets that.
 */
interface AsJson {
  /** Of the object that has the field. */
  readonly property: string;
  /** A selection, as GraphQL. */
  readonly layout: string;
}

/** Thrown while a document is made ready: it is for graphql-js. */
class NotCompilable extends Error {}

/** Null where something of it has to be resolved. */
export function compileSelections(
  schema: GraphQLSchema,
  fragments: ReadonlyMap<string, FragmentDefinitionNode>,
  type: GraphQLOutputType,
  selections: readonly SelectionSetNode[],
): Write | null {
  try {
    return new Compiler(schema, fragments).compile(type, selections).write;
  } catch (error) {
    if (error instanceof NotCompilable) return null;
    throw error;
  }
}

interface Compiled {
  readonly write: Write;
  /** Keys and fields, in their order: what two selections that write the same text have in common. */
  readonly shape: string;
}

class Compiler {
  readonly #schema: GraphQLSchema;
  readonly #fragments: ReadonlyMap<string, FragmentDefinitionNode>;

  constructor(schema: GraphQLSchema, fragments: ReadonlyMap<string, FragmentDefinitionNode>) {
    this.#schema = schema;
    this.#fragments = fragments;
  }

  compile(type: GraphQLOutputType, selections: readonly SelectionSetNode[]): Compiled {
    if (isNonNullType(type)) {
      const { write, shape } = this.#compilePresent(type.ofType, selections);
      return { write: (value) => (value === null || value === undefined ? missing() : write(value)), shape };
    }
    const { write, shape } = this.#compilePresent(type, selections);
    return { write: (value) => (value === null || value === undefined ? 'null' : write(value)), shape };
  }

  #compilePresent(type: GraphQLOutputType, selections: readonly SelectionSetNode[]): Compiled {
    if (isListType(type)) {
      const { write, shape } = this.compile(type.ofType as GraphQLOutputType, selections);
      return { write: listWriter(write), shape };
    }
    if (isLeafType(type)) return { write: leafWriter(type), shape: '' };
    if (isObjectType(type)) return this.#compileObject(type, selections);
    if (isAbstractType(type)) return this.#compileAbstract(type, selections);
    throw new NotCompilable();
  }

  #compileAbstract(type: GraphQLAbstractType, selections: readonly SelectionSetNode[]): Compiled {
    const { resolveType } = type;
    if (resolveType == null) throw new NotCompilable();
    const members = this.#schema
      .getPossibleTypes(type)
      .map((member) => [member.name, this.#compileObject(member, selections)] as const);
    const writers = new Map(members.map(([name, { write }]) => [name, write]));
    const shape = members.map(([name, member]) => `${name}${member.shape}`).join('|');
    const write: Write = (value) => {
      // The types here are told apart by the value alone.
      const name = resolveType(value, undefined, undefined as never, type) as string;
      const writeMember = writers.get(name);
      if (writeMember === undefined) throw new TypeError(`Not one of ${type.name}`);
      return writeMember(value);
    };
    return { write, shape };
  }

  /** Where the value is at hand as JSON, and just what is asked for; else null. */
  #asJson({ type, extensions }: GraphQLField<unknown, unknown>, shape: string): string | null {
    const { property, layout } = (extensions.asJson ?? {}) as Partial<AsJson>;
    if (property === undefined || layout === undefined) return null;
    const [definition] = parse(layout).definitions;
    const { selectionSet } = definition as OperationDefinitionNode;
    return this.compile(type, [selectionSet]).shape === shape ? property : null;
  }

  #compileObject(type: GraphQLObjectType, selections: readonly SelectionSetNode[]): Compiled {
    const nodes = new Map<string, FieldNode[]>();
    for (const { selections: of } of selections) this.#collect(type, of, nodes);
    let shape = '';
    const parts = [...nodes].map(([key, same], i) => {
      const name = same[0]!.name.value;
      const prefix = `${i === 0 ? '' : ','}${JSON.stringify(key)}:`;
      shape += `${prefix}${name}`;
      if (name === '__typename')
        return { prefix: `${prefix}${JSON.stringify(type.name)}`, name, json: null, write: null };
      const field = type.getFields()[name];
      if (field === undefined || field.resolve != null) throw new NotCompilable();
      const inside = same.flatMap(({ selectionSet }) => selectionSet ?? []);
      const inner = this.compile(field.type, inside);
      shape += inner.shape;
      return { prefix, name, json: this.#asJson(field, inner.shape), write: inner.write };
    });
    const write: Write = (value) => {
      const object = value as Record<string, unknown>;
      let text = '{';
      for (const { prefix, name, json, write: writeField } of parts) {
        text += prefix;
        if (writeField === null) continue;
        const ready = json === null ? undefined : object[json];
        text += ready === undefined ? writeField(object[name]) : ready;
      }
      return `${text}}`;
    };
    return { write, shape: `{${shape}}` };
  }

  #collect(
    type: GraphQLObjectType,
    selections: SelectionSetNode['selections'],
    into: Map<string, FieldNode[]>,
  ): void {
    for (const node of selections) {
      if (node.directives?.length) throw new NotCompilable();
      if (node.kind === Kind.FIELD) {
        const key = node.alias?.value ?? node.name.value;
        const same = into.get(key);
        if (same === undefined) into.set(key, [node]);
        else same.push(node);
        continue;
      }
      const fragment = node.kind === Kind.FRAGMENT_SPREAD ? this.#fragments.get(node.name.value) : node;
      if (fragment === undefined || fragment.directives?.length) throw new NotCompilable();
      const condition = fragment.typeCondition && this.#schema.getType(fragment.typeCondition.name.value);
      const fits =
        !condition ||
        condition === type ||
        (isAbstractType(condition) && this.#schema.isSubType(condition, type));
      if (fits) this.#collect(type, fragment.selectionSet.selections, into);
    }
  }
}

function listWriter(write: Write): Write {
  return (value) => {
    if (!Array.isArray(value)) throw new TypeError('Not a list');
    let text = '[';
    for (let i = 0; i < value.length; i++) text += i === 0 ? write(value[i]) : `,${write(value[i])}`;
    return `${text}]`;
  };
}

function leafWriter(type: GraphQLLeafType): Write {
  const serialized: Write = (value) => JSON.stringify(type.serialize(value)) ?? missing();
  if (isEnumType(type)) {
    const texts = new Map(
      type.getValues().map(({ name, value }) => [value as unknown, JSON.stringify(name)]),
    );
    return (value) => texts.get(value) ?? serialized(value);
  }
  if (type.name === 'ID' || type.name === 'String') {
    return (value) => (typeof value === 'string' ? JSON.stringify(value) : serialized(value));
  }
  if (type.name === 'Int') {
    // Within 32 bits, as the scalar wants it.
    return (value) =>
      Number.isInteger(value) && (value as number) >> 0 === value ? `${value}` : serialized(value);
  }
  if (type.name === 'Boolean') {
    return (value) => (value === true ? 'true' : value === false ? 'false' : serialized(value));
  }
  return serialized;
}

function missing(): never {
  throw new TypeError('A value is missing that must be there');
}
