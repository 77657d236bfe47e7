import { commands } from './commands.ts';
import { idle } from './idle.ts';
import { settle, undoAll } from './stage.ts';
import { start } from './start.ts';
import { sweeper } from './sweeper.ts';

/**
 * `npm run bench:scale`, or `-- idle | commands | sweeper | start`: what a deployment meets that has many sockets, many
 * calls and much history. What each measures, and its goal, stands in README.md beside this file.
 */

const MEASURES = { idle, commands, sweeper, start };

const [name, ...args] = process.argv.slice(2);
const measures = name === undefined ? Object.values(MEASURES) : [MEASURES[name as keyof typeof MEASURES]];
settle();
for (const measure of measures) {
  if (!measure) {
    process.stderr.write(`Say what to measure: ${Object.keys(MEASURES).join(', ')}, or nothing for all\n`);
    process.exit(1);
  }
  try {
    await measure(args);
  } finally {
    await undoAll();
  }
}
