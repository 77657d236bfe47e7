import { repeat } from '../background.ts';
import type { IceConfig } from '../config-ice.ts';
import { checkIceServer, IceServerFault, type OpenStunSession } from './ice-server-check.ts';
import { formatIceServerUrl, type IceServerAddress, parseIceServerUrl } from './ice-server-url.ts';
import { type TurnCredential, turnCredential } from './turn-credential.ts';

/**
 * Looks at each configured STUN and TURN server again and again, as a participant would: an allocation with a
 * credential like theirs. One that is down costs only calls that need it, so it makes no instance unready.
 */

export interface IceProbeDeps {
  readonly ice: IceConfig;
  readonly open: OpenStunSession;
  readonly everyMs: number;
  /** What has not done its part by then is down. */
  readonly answerMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** After each probe; `roundTripSeconds` null where it is down. */
  readonly probed: (server: string, roundTripSeconds: number | null) => void;
  /** Once for each change. */
  readonly wentDown: (server: string, reason: string) => void;
  readonly cameBack: (server: string) => void;
}

export interface IceProbe {
  /** The servers that are looked at, as URLs with port and transport. */
  readonly servers: readonly string[];
  /** Those that can't be: Node has no DTLS. */
  readonly skipped: readonly string[];
  /** A probe under way is broken off. */
  stop(): Promise<void>;
}

interface Target {
  readonly server: string;
  readonly address: IceServerAddress;
  /** More than one where a URL is configured twice: each has to do. */
  readonly credentials: (() => TurnCredential | null)[];
}

/** In user names, beside those of participants: says in a TURN server's log who that was. */
const PROBE_NAME = 'ringdown-probe';

/** Begins at once. */
export function startIceProbe(deps: IceProbeDeps): IceProbe {
  const { open, everyMs, answerMs, probed, wentDown, cameBack } = deps;
  const all = targetsOf(deps.ice, deps.now);
  const targets = all.filter(({ address }) => !isDtls(address));
  const down = new Set<string>();
  let round = new AbortController();
  let stopped = false;

  async function probe({ server, address, credentials }: Target): Promise<void> {
    const { signal } = round;
    const checks = credentials.map((credential) =>
      checkIceServer({ address, credential: credential() }, open, signal),
    );
    let reason: string | null = null;
    let roundTrip = 0;
    // All of them, or one would be left to run beyond its round.
    for (const check of await Promise.allSettled(checks)) {
      if (check.status === 'rejected') reason ??= reasonOf(check.reason);
      else roundTrip = Math.max(roundTrip, check.value);
    }
    if (stopped) return;
    probed(server, reason === null ? roundTrip / 1000 : null);
    if (reason !== null && !down.has(server)) wentDown(server, reason);
    if (reason === null && down.has(server)) cameBack(server);
    if (reason === null) down.delete(server);
    else down.add(server);
  }

  async function probeAll(): Promise<void> {
    round = new AbortController();
    const late = setTimeout(() => round.abort(new IceServerFault('it did not answer in time')), answerMs);
    await Promise.all(targets.map(probe));
    clearTimeout(late);
  }

  const rounds = targets.length > 0 ? repeat(everyMs, probeAll, 0) : null;
  const serversOf = (some: readonly Target[]) => some.map(({ server }) => server);
  return {
    servers: serversOf(targets),
    skipped: serversOf(all.filter(({ address }) => isDtls(address))),
    async stop() {
      stopped = true;
      const stopping = rounds?.stop();
      round.abort(new IceServerFault('the probe was stopped'));
      await stopping;
    },
  };
}

function targetsOf({ servers, turn }: IceConfig, now: () => number): Target[] {
  const targets = new Map<string, Target>();
  const add = (url: string, credential: () => TurnCredential | null) => {
    const address = parseIceServerUrl(url);
    const server = formatIceServerUrl(address);
    const known = targets.get(server);
    if (known && address.kind === 'stun') return;
    if (known) known.credentials.push(credential);
    else
      targets.set(server, {
        server,
        address,
        credentials: [address.kind === 'stun' ? () => null : credential],
      });
  };
  for (const { urls, username, credential } of servers) {
    const fixed = { username: username ?? '', credential: credential ?? '' };
    for (const url of urls) add(url, () => fixed);
  }
  for (const url of turn?.urls ?? []) {
    const { secrets, lifetimeMs } = turn!;
    add(url, () => turnCredential(secrets[0]!, PROBE_NAME, now() + lifetimeMs));
  }
  return [...targets.values()];
}

function isDtls({ transport, secure }: IceServerAddress): boolean {
  return secure && transport === 'udp';
}

/** System errors name addresses in their messages; their code says enough. */
function reasonOf(error: unknown): string {
  if (error instanceof IceServerFault) return error.message;
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return typeof code === 'string' ? code : 'an unforeseen error';
}
