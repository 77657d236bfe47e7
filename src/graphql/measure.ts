import {
  type DirectiveNode,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  SchemaMetaFieldDef,
  type SelectionSetNode,
  TypeMetaFieldDef,
  valueFromASTUntyped,
} from 'graphql';

/** What an operation asks for, its fragments put in place wherever they are spread. */
export interface Measures {
  readonly depth: number;
  readonly fields: number;
  readonly aliases: number;
  readonly directives: number;
  /** Fields of the answer where every page is full. Lists that are not paged count as one entry. */
  readonly cost: number;
}

type Type = GraphQLNamedType | null | undefined;

/**
 * The most of each in any operation of a document, which need not be valid. The libraries that do this take
 * a page's size from the document alone, and a fragment's second spread for less than its first. Each fragment
 * is walked once, so that fragments that spread each other again and again take no longer than they are.
 */
export function measure(schema: GraphQLSchema, document: DocumentNode): Measures {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  const known = new Map<string, Measures>();

  function ofFragment(name: string): Measures {
    const measured = known.get(name);
    if (measured !== undefined) return measured;
    const fragment = fragments.get(name);
    if (fragment === undefined) return NOTHING;
    // Of one that spreads itself the inner one is nothing: validation refuses it.
    known.set(name, NOTHING);
    const type = schema.getType(fragment.typeCondition.name.value);
    const inside = add(ofSelections(fragment.selectionSet, type), ofDirectives(fragment.directives));
    known.set(name, inside);
    return inside;
  }

  function ofSelections({ selections }: SelectionSetNode, type: Type): Measures {
    let sum = NOTHING;
    for (const selection of selections) {
      sum = add(sum, ofDirectives(selection.directives));
      if (selection.kind === Kind.FIELD) sum = add(sum, ofField(selection, type));
      else if (selection.kind === Kind.FRAGMENT_SPREAD) sum = add(sum, ofFragment(selection.name.value));
      else {
        const condition = selection.typeCondition?.name.value;
        const inner = condition === undefined ? type : schema.getType(condition);
        sum = add(sum, ofSelections(selection.selectionSet, inner));
      }
    }
    return sum;
  }

  function ofField(node: FieldNode, parent: Type): Measures {
    const field = fieldOf(parent, node.name.value);
    const type = field && getNamedType(field.type);
    const inside = node.selectionSet === undefined ? NOTHING : ofSelections(node.selectionSet, type);
    return {
      depth: inside.depth + 1,
      fields: inside.fields + 1,
      aliases: inside.aliases + (node.alias === undefined ? 0 : 1),
      directives: inside.directives,
      cost: inside.cost * pageSize(node, field) + 1,
    };
  }

  let most = NOTHING;
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue;
    const { operation, selectionSet, directives, variableDefinitions = [] } = definition;
    let sum = add(ofSelections(selectionSet, schema.getRootType(operation)), ofDirectives(directives));
    for (const variable of variableDefinitions) sum = add(sum, ofDirectives(variable.directives));
    most = combine(most, sum, Math.max);
  }
  return most;
}

const NOTHING: Measures = { depth: 0, fields: 0, aliases: 0, directives: 0, cost: 0 };

function ofDirectives(directives: readonly DirectiveNode[] | undefined): Measures {
  return directives?.length ? { ...NOTHING, directives: directives.length } : NOTHING;
}

/** What stands side by side. */
function add(a: Measures, b: Measures): Measures {
  return { ...combine(a, b, (x, y) => x + y), depth: Math.max(a.depth, b.depth) };
}

function combine(a: Measures, b: Measures, by: (x: number, y: number) => number): Measures {
  return {
    depth: by(a.depth, b.depth),
    fields: by(a.fields, b.fields),
    aliases: by(a.aliases, b.aliases),
    directives: by(a.directives, b.directives),
    cost: by(a.cost, b.cost),
  };
}

function fieldOf(type: Type, name: string): GraphQLField<unknown, unknown> | undefined {
  if (name === SchemaMetaFieldDef.name) return SchemaMetaFieldDef;
  if (name === TypeMetaFieldDef.name) return TypeMetaFieldDef;
  return isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined;
}

/** How many entries the field may have in the answer: `extensions.page` in the schema says what is a page. */
function pageSize(node: FieldNode, field: GraphQLField<unknown, unknown> | undefined): number {
  const page = field?.extensions.page as { usual: number; largest: number } | undefined;
  if (page === undefined) return 1;
  const sizes = (node.arguments ?? []).filter(({ name }) => name.value === 'first' || name.value === 'last');
  let size = 0;
  for (const { value } of sizes) {
    const given = value.kind === Kind.VARIABLE ? page.largest : valueFromASTUntyped(value);
    // Null is as if it were not given; what is none of these is refused by validation.
    if (typeof given === 'number') size = Math.max(size, Math.min(given, page.largest));
  }
  return size > 0 ? size : page.usual;
}
