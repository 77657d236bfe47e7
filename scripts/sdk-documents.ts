import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import * as operations from '../client/src/generated/graphql.ts';

/**
 * Writes the list of the SDK's documents: into its package, for whoever lists them for a server of another
 * version, and into the server, for which TRUSTED_DOCUMENTS calls it `sdk`. With `--check` only says whether
 * the server's is what the SDK has, and exits 1 where not.
 *
 * The client preset's `persistedDocuments` would list them as well, but with their fields sorted, which is not
 * what the SDK sends, and it would put each hash into the bundle of every app.
 */

const ofServer = new URL('../src/graphql/sdk-documents.json', import.meta.url);
const ofPackage = new URL('../client/documents.json', import.meta.url);

const list: Record<string, string> = {};
for (const [name, operation] of Object.entries(operations)) {
  if (!name.endsWith('Document')) continue;
  const text = String(operation);
  list[`sha256:${createHash('sha256').update(text).digest('hex')}`] = text;
}
const printed = `${JSON.stringify(list, null, 2)}\n`;

writeFileSync(ofPackage, printed);
if (!process.argv.includes('--check')) {
  writeFileSync(ofServer, printed);
} else if (readFileSync(ofServer, 'utf8') !== printed) {
  process.stderr.write(
    'src/graphql/sdk-documents.json is not what the SDK has: run `npm run documents` and commit it.\n',
  );
  process.exitCode = 1;
}
