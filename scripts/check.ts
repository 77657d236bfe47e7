import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';

/** What `npm run check` looks at once the generated code is there: side by side, and the longest first. */
const SCRIPTS = [
  'check:types',
  'check:imports',
  'documents -- --check',
  'schema -- --check',
  'config:docs -- --check',
  'check:style',
];

const root = fileURLToPath(new URL('..', import.meta.url));

/** Its exit code. What it says is shown when it has ended, so that no two are mixed. */
function run(script: string): Promise<number> {
  const [command = '', ...args] = `npm run ${script}`.split(' ');
  const child = spawn(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  const output: Buffer[] = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      process.stdout.write(Buffer.concat(output));
      resolve(code ?? 1);
    });
  });
}

const waiting = [...SCRIPTS];
const failed: string[] = [];
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let script = waiting.shift(); script !== undefined; script = waiting.shift()) {
      if ((await run(script)) !== 0) failed.push(script);
    }
  }),
);
if (failed.length > 0) {
  process.stderr.write(`Not as it should be: ${failed.map((script) => `npm run ${script}`).join(', ')}\n`);
  process.exitCode = 1;
}
