import { ALLOWED } from '../../src/rate-limits/rate-limiter.ts';
import { createRates, type RateSettings, type Rates } from '../../src/rate-limits/rates.ts';

/** Rates that refuse nobody, for tests of something else. */

export const UNLIMITED_SETTINGS: RateSettings = {
  initiatePerMinute: 1_000_000,
  joinsPerMinute: 1_000_000,
  signalsPerMinute: 1_000_000,
  reportsPerMinute: 1_000_000,
  connectionsPerMinute: 1_000_000,
  usersPerAddress: 1_000_000,
  failedTokensPerMinute: 1_000_000,
};

export const UNLIMITED: Rates = createRates(UNLIMITED_SETTINGS, {
  limiter: () => ({ take: () => ALLOWED, giveBack() {}, refusal: () => null }),
  refused() {},
});
