/** What PromQL calls its own (its manual, Querying: operators, aggregations). */
const WORDS = new Set(
  'and or unless by without on ignoring group_left group_right bool offset atan2 inf nan'.split(' '),
);

/** The metrics that an expression names. Enough of PromQL's grammar for that: what is left are names. */
export function metricsIn(expression: string): string[] {
  const bare = expression
    .replace(/"[^"]*"|'[^']*'/g, '')
    .replace(/\{[^}]*\}/g, ' ')
    .replace(/\[[^\]]*\]/g, ' ')
    .replace(/\boffset\s+\w+/g, ' ')
    .replace(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ')
    .replace(/\b[a-z_]\w*\s*(?=\()/gi, ' ');
  const names = bare.match(/(?<![\w.])[a-z_:][\w:]*/gi) ?? [];
  return [...new Set(names.filter((name) => !WORDS.has(name.toLowerCase())))];
}
