import { enableCompileCache } from 'node:module';
import { fileURLToPath } from 'node:url';

/**
 * Before a program of npm's scripts: keeps what V8 and Node make of the sources, so that the next start need not
 * make it again. Without it a start on embedded parts spends most of its time there.
 */
enableCompileCache(fileURLToPath(new URL('../.cache/compiled', import.meta.url)));
