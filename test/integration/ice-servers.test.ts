import { setTimeout as sleep } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { type App, startApp } from '../../src/app.ts';
import { loadConfig, TIMINGS } from '../../src/config.ts';
import { type IceProbe, startIceProbe } from '../../src/ice-servers/ice-probe.ts';
import { checkIceServer } from '../../src/ice-servers/ice-server-check.ts';
import { parseIceServerUrl } from '../../src/ice-servers/ice-server-url.ts';
import { openStunSession } from '../../src/ice-servers/stun-socket.ts';
import { turnCredential } from '../../src/ice-servers/turn-credential.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { IDENTITY, tokenFor } from '../support/app.ts';
import { createClient } from '../support/client.ts';
import { createDatabase } from '../support/database.ts';
import * as operations from '../support/operations.ts';
import { startTurn } from '../support/turn.ts';
import { eventually, initiate, success } from '../support/world.ts';

/** The server and its probe against a real coturn. */

const OLD = 'the-old-secret';
const NEW = 'the-new-secret';
const turn = await startTurn({ secrets: [OLD], tls: true });
const tls = turn.tls!;
setDefaultCACertificates([...getCACertificates('default'), tls.certificate]);
const database = await createDatabase();
afterAll(async () => {
  await database.drop();
  await turn.stop();
});

const TURN = {
  udp: `turn:127.0.0.1:${turn.port}?transport=udp`,
  tcp: `turn:localhost:${turn.port}?transport=tcp`,
  tls: `turns:localhost:${tls.port}?transport=tcp`,
};
// Over UDP by address: a name may have one of IPv6 first, where coturn does not listen here.
const STUN = { udp: `stun:127.0.0.1:${turn.port}`, tls: `stuns:127.0.0.1:${tls.port}` };

interface Line {
  readonly level: string;
  readonly msg: string;
  readonly server?: string;
  readonly reason?: string;
  readonly problem?: string;
}

const undo: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0)) await step();
});

/** An app with these ICE settings, after its first probe, and what it logged. */
async function start(env: Record<string, string>): Promise<{ app: App; lines: Line[] }> {
  const config = loadConfig({
    ...{ HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '0', INITIATE_RATE: '10000' },
    ...IDENTITY,
    DATABASE_URL: database.url,
    ...env,
  });
  const lines: Line[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Line);
  const app = await startApp(config, createLogger('info', { write }));
  undo.push(() => app.stop());
  return { app, lines };
}

/** Series of a metric, by the server that they name. */
async function seriesOf(app: App, name: string): Promise<Record<string, number>> {
  const text = await (await fetch(`${app.metricsUrl}/metrics`)).text();
  const found = [...text.matchAll(new RegExp(`^${name}(?:\\{server="([^"]*)"\\})? (\\S+)$`, 'gm'))];
  return Object.fromEntries(found.map(([, server = '', value]) => [server, Number(value)]));
}

/** Once as many were probed. */
async function probed(app: App, count: number): Promise<Record<string, number>> {
  return eventually(async () => {
    const series = await seriesOf(app, 'ringdown_ice_server_up');
    return Object.keys(series).length === count && series;
  }, 10_000);
}

describe('a server with STUN and TURN', () => {
  it('finds each of them up, over UDP, TCP and TLS', async () => {
    const { app, lines } = await start({
      TURN_URLS: Object.values(TURN).join(),
      TURN_SECRETS: OLD,
      ICE_SERVERS: JSON.stringify([{ urls: Object.values(STUN) }]),
    });
    const servers = [...Object.values(TURN), `${STUN.udp}?transport=udp`, `${STUN.tls}?transport=tcp`];
    expect(await probed(app, 5)).toEqual(Object.fromEntries(servers.map((server) => [server, 1])));
    const roundTrips = await seriesOf(app, 'ringdown_ice_server_round_trip_seconds');
    expect(Object.keys(roundTrips).sort()).toEqual(servers.sort());
    expect(Math.min(...Object.values(roundTrips))).toBeGreaterThan(0);
    expect(await seriesOf(app, 'video_turn_config_valid')).toEqual({ '': 1 });
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('gives who is in a call a credential of their own, which the TURN server takes', async () => {
    const { app } = await start({ TURN_URLS: TURN.udp, TURN_SECRETS: OLD, TURN_CREDENTIAL_LIFETIME: '10m' });
    const service = createClient({ url: app.url, token: await tokenFor('back-end', 'service') });
    const ada = createClient({ url: app.url, token: await tokenFor('ada') });
    try {
      await service.mutate(operations.PutConversation, { id: 'room', memberIds: ['ada', 'ben'] });
      const input = { conversationId: 'room', calleeIds: ['ben'], sessionId: 's' };
      const { call } = success(await initiate(ada, input));
      const before = Date.now();
      const { iceServers } = await ada.query(operations.GetIceServers, { callId: call.id });
      const { servers, refreshAt } = success(iceServers);
      expect(servers).toHaveLength(1);
      const [{ urls, username, credential }] = servers as [(typeof servers)[0]];
      expect(urls).toEqual([TURN.udp]);
      expect(username).not.toContain('ada');
      const halfLeft = Number(username!.split(':')[0]) * 1000 - Date.parse(refreshAt as string);
      expect(Math.abs(halfLeft - 300_000)).toBeLessThanOrEqual(1_000);
      expect(Date.parse(refreshAt as string)).toBeGreaterThanOrEqual(before + 300_000);
      await allocates({ username: username!, credential: credential! });
    } finally {
      await Promise.all([service.dispose(), ada.dispose()]);
    }
  });

  it('says what is wrong and goes on: a secret that is not theirs, a URL that is none', async () => {
    const { app, lines } = await start({
      TURN_URLS: `${TURN.udp},turn:me:hunter2@a.example`,
      TURN_SECRETS: 'hunter2-wrong',
    });
    expect(await probed(app, 1)).toEqual({ [TURN.udp]: 0 });
    expect(await seriesOf(app, 'ringdown_ice_server_round_trip_seconds')).toEqual({});
    expect(await seriesOf(app, 'video_turn_config_valid')).toEqual({ '': 0 });
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([
      expect.objectContaining({
        level: 'error',
        setting: 'TURN_URLS',
        problem: expect.stringMatching(/^item 2 the port is not a number from 1 to 65535/),
      }),
      expect.objectContaining({ level: 'warn', server: TURN.udp, reason: expect.stringMatching(/401/) }),
    ]);
    expect(JSON.stringify(lines)).not.toMatch(/hunter2|me:/);
    expect((await fetch(`${app.url}/readyz`)).status).toBe(200);
  });

  it('warns once where there is no TURN server', async () => {
    const { app, lines } = await start({ ICE_SERVERS: JSON.stringify([{ urls: STUN.udp }]) });
    expect(await probed(app, 1)).toEqual({ [`${STUN.udp}?transport=udp`]: 1 });
    expect(lines.filter(({ level }) => level !== 'info')).toEqual([
      expect.objectContaining({ level: 'warn', msg: expect.stringMatching(/^There is no TURN server/) }),
    ]);
  });
});

/** Resolves where coturn gives an allocation over UDP for it. */
async function allocates(credential: { username: string; credential: string }): Promise<void> {
  const check = { address: parseIceServerUrl(TURN.udp), credential };
  await checkIceServer(check, openStunSession, AbortSignal.timeout(TIMINGS.iceProbeAnswerMs));
}

describe('the probe', () => {
  let seen: string[];
  function watch(secrets: string[]): IceProbe {
    seen = [];
    const probe = startIceProbe({
      ice: { servers: [], turn: { urls: [TURN.udp], secrets, lifetimeMs: 3_600_000 }, problems: [] },
      open: openStunSession,
      everyMs: 50,
      answerMs: 2_000,
      now: Date.now,
      probed: (_server, roundTrip) => void seen.push(roundTrip === null ? 'down' : 'up'),
      wentDown: (server, reason) => void seen.push(`${server} went down: ${reason}`),
      cameBack: (server) => void seen.push(`${server} came back`),
    });
    undo.push(() => probe.stop());
    return probe;
  }
  const sees = (what: string | RegExp, times = 1) =>
    eventually(() => seen.filter((line) => line.match(what)).length >= times, 10_000);

  it('tells once that a server is gone, and once that it is back', async () => {
    const probe = watch([OLD]);
    await sees(/^up$/);
    await turn.end();
    await sees(/^down$/, 3);
    await turn.restart();
    await sees(/came back$/);
    await probe.stop();
    const changes = seen.filter((line) => line !== 'up' && line !== 'down');
    expect(changes).toEqual([
      expect.stringMatching(/went down: (ECONNREFUSED|it did not answer in time)$/),
      `${TURN.udp} came back`,
    ]);
    const after = seen.length;
    await sleep(150);
    expect(seen).toHaveLength(after);
  });

  it('shows that a new secret works where the TURN server knows both, and the old one after it', async () => {
    const inAnHour = Date.now() + 3_600_000;
    await expect(allocates(turnCredential(NEW, 'someone', inAnHour))).rejects.toThrow(/401/);
    await turn.restart([OLD, NEW]);
    await allocates(turnCredential(NEW, 'someone', inAnHour));
    await allocates(turnCredential(OLD, 'someone', inAnHour));
    await turn.restart([NEW]);
    await expect(allocates(turnCredential(OLD, 'someone', inAnHour))).rejects.toThrow(/401/);
    watch([NEW, OLD]);
    await sees(/^up$/);
  });

  it('takes no credential that has run out', async () => {
    await turn.restart([OLD]);
    await expect(allocates(turnCredential(OLD, 'someone', Date.now() - 1_000))).rejects.toThrow(/401/);
  });
});
