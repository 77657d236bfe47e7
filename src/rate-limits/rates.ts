import type { Config } from '../config.ts';
import { ALLOWED, type Allowed, type RateLimiter, type Refusal, type Take } from './rate-limiter.ts';

/** What is limited, of whom, and how it is counted where it is refused. */

export type Limited = 'initiate' | 'join' | 'signal' | 'report' | 'connection' | 'failed_token';
export type LimitedBy = 'user' | 'address';

/** Who does something, as limits know them. */
export interface Caller {
  readonly userId: string;
  /** See address-key.ts; absent where addresses can't be relied on. */
  readonly addressKey?: string | undefined;
}

/** A limit by one kind of key. No key: no limit. */
export interface KeyRate {
  take(key: string | undefined): Take | Promise<Take>;
  giveBack(key: string, taken: Allowed): void;
  /** A refusal that is known already, counted as one; takes nothing. */
  refusal(key: string | undefined): Refusal | null;
}

/** A limit of a user, and of all users of an address. */
export interface Rate {
  readonly byUser: KeyRate;
  readonly byAddress: KeyRate;
  /** At once, without a promise, where this instance can answer by itself. */
  take(caller: Caller): Take | Promise<Take>;
  /** What was taken turned out to be a repeat. It counts for the address all the same, which has room for it. */
  giveBack(caller: Caller, taken: Allowed): void;
}

export interface Rates {
  readonly initiate: Rate;
  readonly join: Rate;
  readonly signal: Rate;
  readonly report: Rate;
  readonly connection: Rate;
  /** By address alone: who sends a token that is not valid is nobody. */
  readonly failedToken: KeyRate;
}

/** A minute each, over all instances. */
export type RateSettings = Pick<
  Config['limits'],
  | 'initiatePerMinute'
  | 'joinsPerMinute'
  | 'signalsPerMinute'
  | 'reportsPerMinute'
  | 'connectionsPerMinute'
  | 'usersPerAddress'
  | 'failedTokensPerMinute'
>;

export interface RateDeps {
  readonly limiter: (name: string, limit: number) => RateLimiter;
  readonly refused: (limit: Limited, by: LimitedBy) => void;
}

export function createRates(settings: RateSettings, { limiter, refused }: RateDeps): Rates {
  const byKey = (limit: Limited, by: LimitedBy, most: number): KeyRate => {
    const name = by === 'user' ? limit : `${limit}-by-address`;
    return countedRate(limiter(name, most), () => refused(limit, by));
  };
  const rate = (limit: Limited, perUser: number): Rate =>
    combined(byKey(limit, 'user', perUser), byKey(limit, 'address', perUser * settings.usersPerAddress));
  return {
    initiate: rate('initiate', settings.initiatePerMinute),
    join: rate('join', settings.joinsPerMinute),
    signal: rate('signal', settings.signalsPerMinute),
    report: rate('report', settings.reportsPerMinute),
    connection: rate('connection', settings.connectionsPerMinute),
    failedToken: byKey('failed_token', 'address', settings.failedTokensPerMinute),
  };
}

function countedRate(limiter: RateLimiter, refused: () => void): KeyRate {
  const counted = (take: Take): Take => {
    if (!take.allowed) refused();
    return take;
  };
  return {
    take(key) {
      if (key === undefined) return ALLOWED;
      const take = limiter.take(key);
      return take instanceof Promise ? take.then(counted) : counted(take);
    },
    giveBack: (key, taken) => limiter.giveBack(key, taken),
    refusal(key) {
      const known = key === undefined ? null : limiter.refusal(key);
      if (known !== null) refused();
      return known;
    },
  };
}

function combined(byUser: KeyRate, byAddress: KeyRate): Rate {
  /** The user's take, where the address allows it too. */
  const also = (taken: Take, addressKey: string | undefined): Take | Promise<Take> => {
    if (!taken.allowed) return taken;
    const address = byAddress.take(addressKey);
    if (address instanceof Promise) return address.then((take) => (take.allowed ? taken : take));
    return address.allowed ? taken : address;
  };
  return {
    byUser,
    byAddress,
    take({ userId, addressKey }) {
      const taken = byUser.take(userId);
      return taken instanceof Promise
        ? taken.then((take) => also(take, addressKey))
        : also(taken, addressKey);
    },
    giveBack: ({ userId }, taken) => byUser.giveBack(userId, taken),
  };
}
