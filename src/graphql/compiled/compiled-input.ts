import {
  type ArgumentNode,
  type GraphQLArgument,
  type GraphQLField,
  type GraphQLInputField,
  type GraphQLInputObjectType,
  type GraphQLInputType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isListType,
  isNonNullType,
  isScalarType,
  Kind,
  specifiedScalarTypes,
  typeFromAST,
  type ValueNode,
  type VariableDefinitionNode,
  valueFromAST,
} from 'graphql';

/**
 * A field's arguments from the variables of a request, made ready once for a document. It takes what is in
 * order, without a copy of it; whatever is not goes the ordinary way, where graphql-js says what is wrong.
 */

/** The answer for values that are for graphql-js to judge. */
export const UNUSUAL = Symbol('not in order, or not known here');

type Coerce = (value: unknown) => unknown;
type Values = Readonly<Record<string, unknown>>;
export type ReadArguments = (variables: Values) => Values | typeof UNUSUAL;

/** Null where the arguments are written in a way that is for graphql-js. */
export function compileArguments(
  schema: GraphQLSchema,
  field: GraphQLField<unknown, unknown>,
  given: readonly ArgumentNode[],
  variables: readonly VariableDefinitionNode[],
): ReadArguments | null {
  const coercions = new Map<string, Coerce>();
  for (const { variable, type, defaultValue } of variables) {
    const inputType = typeFromAST(schema, type) as GraphQLInputType | undefined;
    if (inputType === undefined || defaultValue !== undefined) return null;
    coercions.set(variable.name.value, coercionTo(inputType));
  }
  const constants: Record<string, unknown> = {};
  const fromVariables: { name: string; variable: string; missing: unknown }[] = [];
  for (const argument of field.args) {
    const node = given.find(({ name }) => name.value === argument.name)?.value;
    if (node?.kind === Kind.VARIABLE) {
      const missing = whenMissing(argument);
      fromVariables.push({ name: argument.name, variable: node.name.value, missing });
    } else if (node === undefined) {
      if (argument.defaultValue !== undefined) constants[argument.name] = argument.defaultValue;
    } else {
      const value = hasVariable(node) ? undefined : valueFromAST(node, argument.type);
      if (value === undefined) return null;
      constants[argument.name] = value;
    }
  }

  return (values) => {
    const coerced: Record<string, unknown> = {};
    for (const [name, coerce] of coercions) {
      const value = coerce(values[name]);
      if (value === UNUSUAL) return UNUSUAL;
      coerced[name] = value;
    }
    const args: Record<string, unknown> = { ...constants };
    for (const { name, variable, missing } of fromVariables) {
      const value = coerced[variable] === undefined ? missing : coerced[variable];
      if (value === UNUSUAL) return UNUSUAL;
      if (value !== undefined) args[name] = value;
    }
    return args;
  };
}

function whenMissing({ type, defaultValue }: GraphQLArgument | GraphQLInputField): unknown {
  if (defaultValue !== undefined) return defaultValue;
  return isNonNullType(type) ? UNUSUAL : undefined;
}

function hasVariable(node: ValueNode): boolean {
  if (node.kind === Kind.VARIABLE) return true;
  if (node.kind === Kind.LIST) return node.values.some(hasVariable);
  return node.kind === Kind.OBJECT && node.fields.some(({ value }) => hasVariable(value));
}

/** What was not given at all is `undefined`, and stays so where it may be absent. */
function coercionTo(type: GraphQLInputType): Coerce {
  if (isNonNullType(type)) {
    const coerce = coercionOfPresent(type.ofType);
    return (value) => (value === undefined || value === null ? UNUSUAL : coerce(value));
  }
  const coerce = coercionOfPresent(type);
  return (value) => (value === undefined || value === null ? value : coerce(value));
}

const INT_LIMIT = 2 ** 31;
/** Of the scalars of GraphQL itself; of an ID a number would be taken too, but is for graphql-js. */
const BUILT_IN: Readonly<Record<string, Coerce>> = {
  ID: (value) => (typeof value === 'string' ? value : UNUSUAL),
  String: (value) => (typeof value === 'string' ? value : UNUSUAL),
  Boolean: (value) => (typeof value === 'boolean' ? value : UNUSUAL),
  Float: (value) => (Number.isFinite(value) ? value : UNUSUAL),
  Int: (value) =>
    Number.isInteger(value) && (value as number) >= -INT_LIMIT && (value as number) < INT_LIMIT
      ? value
      : UNUSUAL,
};

const compiled = new WeakMap<GraphQLInputObjectType, Coerce>();

function coercionOfPresent(type: GraphQLInputType): Coerce {
  if (isListType(type)) return coercionOfList(coercionTo(type.ofType as GraphQLInputType));
  if (isInputObjectType(type)) {
    const known = compiled.get(type);
    if (known !== undefined) return known;
    // Before its fields are looked at, which may be of the same type.
    let coerce: Coerce = () => UNUSUAL;
    compiled.set(type, (value) => coerce(value));
    coerce = coercionOfObject(type);
    compiled.set(type, coerce);
    return coerce;
  }
  if (isScalarType(type) && specifiedScalarTypes.includes(type)) return BUILT_IN[type.name] as Coerce;
  if (!isScalarType(type) && !isEnumType(type)) return () => UNUSUAL;
  return (value) => {
    try {
      return type.parseValue(value) ?? UNUSUAL;
    } catch {
      return UNUSUAL;
    }
  };
}

function coercionOfList(coerceItem: Coerce): Coerce {
  return (value) => {
    if (!Array.isArray(value)) return UNUSUAL;
    let list: unknown[] = value;
    for (let i = 0; i < value.length; i++) {
      const item = coerceItem(value[i]);
      if (item === UNUSUAL) return UNUSUAL;
      if (item === value[i]) continue;
      if (list === value) list = [...value];
      list[i] = item;
    }
    return list;
  };
}

function coercionOfObject(type: GraphQLInputObjectType): Coerce {
  const fields = Object.values(type.getFields()).map((field) => ({
    name: field.name,
    coerce: coercionTo(field.type),
    missing: whenMissing(field),
  }));
  const { isOneOf } = type;
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return UNUSUAL;
    const given = value as Values;
    let object = given as Record<string, unknown>;
    let known = 0;
    for (const { name, coerce, missing } of fields) {
      const before = given[name];
      if (before === undefined) {
        if (missing === undefined) continue;
        if (missing === UNUSUAL) return UNUSUAL;
      } else known++;
      const after = before === undefined ? missing : coerce(before);
      if (after === UNUSUAL || (isOneOf && after === null)) return UNUSUAL;
      if (after === before) continue;
      if (object === given) object = { ...given };
      object[name] = after;
    }
    if (isOneOf && known !== 1) return UNUSUAL;
    // Something that the type does not have.
    for (const _ in given) known--;
    return known === 0 ? object : UNUSUAL;
  };
}
