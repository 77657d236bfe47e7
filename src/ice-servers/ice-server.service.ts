import type { Rejection } from '../errors.ts';
import type { IceServer, IceServerService } from '../graphql/services.ts';

/** STUN and TURN servers for those who are in a call. */

/** What does not change is fetched again all the same, so that a new configuration arrives; milliseconds. */
const REFRESH_AFTER = 3_600_000;

export interface IceServerDeps {
  readonly servers: readonly IceServer[];
  readonly whyNoSeat: (callId: string, userId: string) => Promise<Rejection | null>;
  readonly now: () => number;
}

export function createIceServerService({ servers, whyNoSeat, now }: IceServerDeps): IceServerService {
  return {
    async iceServers(viewer, callId) {
      const rejection = await whyNoSeat(callId, viewer.userId);
      return rejection ? { rejection } : { servers, refreshAt: now() + REFRESH_AFTER };
    },
  };
}
