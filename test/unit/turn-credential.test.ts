import { createHmac } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Viewer } from '../../src/auth/viewer.ts';
import { reject } from '../../src/errors.ts';
import { createIceServerService, type IceServerDeps } from '../../src/ice-servers/ice-server.service.ts';
import { turnCredential, turnName } from '../../src/ice-servers/turn-credential.ts';

const AT = Date.UTC(2026, 0, 31, 12) + 999;
const ADA = { userId: 'ada@example.com' } as Viewer;
const MINUTE = 60_000;

function service(given: Partial<IceServerDeps> = {}) {
  const turn = {
    urls: ['turn:a.example', 'turns:a.example'],
    secrets: ['new', 'old'],
    lifetimeMs: 60 * MINUTE,
  };
  return createIceServerService({ servers: [], turn, whyNoSeat: async () => null, now: () => AT, ...given });
}

async function given(deps: Partial<IceServerDeps> = {}, callId = 'call', viewer = ADA) {
  const result = await service(deps).iceServers(viewer, callId);
  if ('rejection' in result) throw new Error(result.rejection.code);
  return result;
}

describe('a credential for TURN', () => {
  it('is the HMAC-SHA1 of a user name that begins with its expiry in whole seconds', () => {
    // From `printf '1769864400:name' | openssl dgst -sha1 -hmac secret -binary | base64`.
    expect(turnCredential('secret', 'name', 1_769_864_400_999)).toEqual({
      username: '1769864400:name',
      credential: 'e3sA1SexthXS2++pMRzwNkFDWqo=',
    });
  });

  it('is signed by the first secret, for all URLs, and is to be fetched again at half of its life', async () => {
    const { servers, refreshAt } = await given();
    const [{ urls, username, credential }] = servers as [(typeof servers)[0]];
    expect(urls).toEqual(['turn:a.example', 'turns:a.example']);
    expect(username).toMatch(new RegExp(`^${Math.floor(AT / 1000) + 3600}:[\\w-]{16}$`));
    expect(credential).toBe(createHmac('sha1', 'new').update(username!).digest('base64'));
    expect(refreshAt).toBe(AT + 30 * MINUTE);
  });

  it('comes beside the servers with fixed ones, which stay as they are', async () => {
    const fixed = { urls: ['turn:b.example'], username: 'u', credential: 'p' };
    const { servers } = await given({ servers: [fixed] });
    expect(servers).toHaveLength(2);
    expect(servers[0]).toEqual(fixed);
    expect(await given({ servers: [fixed], turn: null })).toEqual({
      servers: [fixed],
      refreshAt: AT + 60 * MINUTE,
    });
  });

  it('tells the TURN server nothing that is the same in two calls, and the same within one', async () => {
    const nameOf = async (callId: string, userId = ADA.userId) => {
      const { servers } = await given({}, callId, { userId } as Viewer);
      return servers[0]!.username!.split(':')[1]!;
    };
    const names = [await nameOf('one'), await nameOf('two'), await nameOf('one', 'ben')];
    expect(new Set(names).size).toBe(3);
    expect(await nameOf('one')).toBe(names[0]);
    expect(names[0]).toBe(turnName('new', 'one', ADA.userId));
  });

  it('is given to nobody without a seat', async () => {
    const rejection = reject('NOT_IN_CALL');
    expect(await service({ whyNoSeat: async () => rejection }).iceServers(ADA, 'call')).toEqual({
      rejection,
    });
  });
});
