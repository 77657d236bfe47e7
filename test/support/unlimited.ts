import { ALLOWED } from '../../src/rate-limits/rate-limiter.ts';
import { createRates, type Rates } from '../../src/rate-limits/rates.ts';

/** Rates that refuse nobody, for tests of something else. */
export const UNLIMITED: Rates = createRates(
  {
    initiatePerMinute: 1,
    joinsPerMinute: 1,
    signalsPerMinute: 1,
    connectionsPerMinute: 1,
    usersPerAddress: 1,
    failedTokensPerMinute: 1,
  },
  { limiter: () => ({ take: () => ALLOWED, giveBack() {}, refusal: () => null }), refused() {} },
);
