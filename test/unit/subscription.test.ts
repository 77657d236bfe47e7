import { describe, expect, it } from 'vitest';
import webPush from 'web-push';
import { MAX_ENDPOINT, publicKeyOf, subscriptionProblem } from '../../src/devices/subscription.ts';
import { subscription } from '../support/subscriptions.ts';

const OUTSIDE = { allowHttp: false, allowPrivate: false };
const check = (over: Partial<ReturnType<typeof subscription>>, allowed = OUTSIDE) =>
  subscriptionProblem({ ...subscription(), ...over }, allowed);

describe('A push subscription', () => {
  it('of a browser is fine', () => {
    for (let i = 0; i < 20; i++) expect(check({})).toBeNull();
    // The example of RFC 8291, appendix A.
    const p256dh = 'BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4';
    expect(check({ p256dh, auth: 'BTBZMqHH6r4Tts7J_aSIgg' })).toBeNull();
  });

  const point = Buffer.from(subscription().p256dh, 'base64url');
  const offTheCurve = Buffer.from(point);
  offTheCurve[64]! ^= 1;
  it.each([
    ['no key', ''],
    ['a compressed one', Buffer.concat([Buffer.from([2]), point.subarray(1, 33)]).toString('base64url')],
    ['one that is not on the curve', offTheCurve.toString('base64url')],
    ['one with a byte too few', point.subarray(0, 64).toString('base64url')],
    ['one with padding', `${point.toString('base64url')}=`],
    ['one as base64', point.toString('base64').replace(/[A-Za-z]/, '+')],
    ['text', 'x'.repeat(87)],
  ])('with %s for p256dh is refused, and the value is not repeated', (_what, p256dh) => {
    const wrong = check({ p256dh });
    expect(wrong).toMatchObject({ field: 'p256dh' });
    if (p256dh !== '') expect(wrong?.problem).not.toContain(p256dh);
  });

  it.each([
    '',
    'BTBZMqHH6r4Tts7J_aSI',
    'BTBZMqHH6r4Tts7J_aSIggAA',
    'BTBZMqHH6r4Tts7J/aSIgg',
    'BTBZMqHH6r4Tts7J_aSIgh',
  ])('with %j for auth is refused', (auth) => expect(check({ auth })).toMatchObject({ field: 'auth' }));

  it.each([
    'http://push.example.net/1',
    'https://127.0.0.1/1',
    'https://10.1.2.3:8443/1',
    'https://[::1]/1',
    'https://[fd00:ec2::254]/1',
    'https://169.254.169.254/latest/meta-data',
    'https://0x7f.1/1',
    'https://2130706433/1',
    'https://me:too@push.example.net/1',
    'ftp://push.example.net/1',
    'push.example.net',
    '',
    `https://push.example.net/${'x'.repeat(MAX_ENDPOINT)}`,
  ])('with the endpoint %j is refused, and it is not repeated', (endpoint) => {
    const wrong = check({ endpoint });
    expect(wrong).toMatchObject({ field: 'endpoint' });
    if (endpoint !== '') expect(wrong?.problem).not.toContain(endpoint);
  });

  it('may lead to this machine in a test, and to no metadata service', () => {
    const inside = { allowHttp: true, allowPrivate: true };
    expect(check({ endpoint: 'http://127.0.0.1:1234/1' }, inside)).toBeNull();
    expect(check({ endpoint: 'http://169.254.169.254/1' }, inside)).toMatchObject({ field: 'endpoint' });
  });
});

describe('The key of the server', () => {
  it('has its public part worked out from the private one', () => {
    const { publicKey, privateKey } = webPush.generateVAPIDKeys();
    expect(publicKeyOf(privateKey)).toBe(publicKey);
  });

  it.each(['', 'short', `${'A'.repeat(43)}`, `${'_'.repeat(43)}`, webPush.generateVAPIDKeys().publicKey])(
    'is not %j',
    (text) => expect(publicKeyOf(text)).toBeNull(),
  );
});
