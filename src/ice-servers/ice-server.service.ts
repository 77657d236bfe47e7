import type { TurnConfig } from '../config-ice.ts';
import type { Rejection } from '../errors.ts';
import type { IceServer, IceServerService } from '../graphql/services.ts';
import { turnCredential, turnName } from './turn-credential.ts';

/** STUN and TURN servers for those who are in a call. */

/** What does not change is fetched again all the same, so that a new configuration arrives; milliseconds. */
const REFRESH_AFTER = 3_600_000;

export interface IceServerDeps {
  /** With fixed credentials. */
  readonly servers: readonly IceServer[];
  readonly turn: TurnConfig | null;
  readonly whyNoSeat: (callId: string, userId: string) => Promise<Rejection | null>;
  /** Milliseconds since the epoch; TURN servers compare it with their own clocks. */
  readonly now: () => number;
}

export function createIceServerService(deps: IceServerDeps): IceServerService {
  const { servers, turn, whyNoSeat, now } = deps;
  return {
    async iceServers({ userId }, callId) {
      const rejection = await whyNoSeat(callId, userId);
      if (rejection) return { rejection };
      const at = now();
      if (turn === null) return { servers, refreshAt: at + REFRESH_AFTER };
      const secret = turn.secrets[0]!;
      const credential = turnCredential(secret, turnName(secret, callId, userId), at + turn.lifetimeMs);
      return {
        servers: [...servers, { urls: turn.urls, ...credential }],
        // Half is left for a client that can't reach us when it is due.
        refreshAt: at + Math.min(turn.lifetimeMs / 2, REFRESH_AFTER),
      };
    },
  };
}
