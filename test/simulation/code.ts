import { LogUnavailable } from '../../src/call-log/call-log.ts';
import { MemoryCallLog } from '../../src/call-log/memory.ts';
import { MemoryChannels } from '../../src/call-log/memory-channels.ts';
import { createCore } from '../../src/core.ts';
import { DatabaseTimeout, DatabaseUnavailable } from '../../src/database/failures.ts';
import { LeaseDriver } from '../../src/database/lease.ts';

/** The code under test: this one, or one with a bug that was planted (planted.ts). */
export const CODE = {
  createCore,
  LeaseDriver,
  MemoryCallLog,
  MemoryChannels,
  LogUnavailable,
  DatabaseTimeout,
  DatabaseUnavailable,
};

export type Code = typeof CODE;
