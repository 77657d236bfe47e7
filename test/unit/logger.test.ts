import { describe, expect, it } from 'vitest';
import { createLogger, type Logger } from '../../src/observability/logger.ts';

const TOKEN = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl';
const CANDIDATE = 'candidate:1 1 udp 2122260223 192.0.2.7 54321 typ host';
const SDP = 'v=0\r\no=- 1 2 IN IP4 192.0.2.7\r\na=ice-pwd:veryverysecretpassword\r\n';

/** What a logger writes while `use` runs, line by line. */
function linesOf(use: (logger: Logger) => void, level: 'debug' | 'info' = 'debug') {
  const lines: string[] = [];
  use(createLogger(level, { write: (line) => void lines.push(line) }));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('logger', () => {
  it('writes JSON with the level by name, the time in words and the fields', () => {
    const [line] = linesOf((logger) =>
      logger.info({ callId: 'c1', code: 1012, nested: { list: [1] } }, 'drained'),
    );
    expect(line).toMatchObject({
      level: 'info',
      msg: 'drained',
      callId: 'c1',
      code: 1012,
      nested: { list: [1] },
    });
    expect(line?.time).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it('leaves out what is below its level', () => {
    const lines = linesOf((logger) => {
      logger.debug('small');
      logger.warn('big');
    }, 'info');
    expect(lines.map((line) => line.msg)).toEqual(['big']);
  });

  it('of an error shows name, message, stack, code and cause, and no other property', () => {
    const cause = Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    const error = Object.assign(new TypeError('it broke', { cause }), {
      code: 'E_BROKE',
      command: { name: 'evalsha', args: [SDP] },
      detail: 'Key (user)=(ada)',
    });
    for (const [line] of [
      linesOf((logger) => logger.error(error)),
      linesOf((logger) => logger.error({ err: error }, 'it broke')),
      linesOf((logger) => logger.error(error, 'it broke')),
    ]) {
      expect(line).toMatchObject({
        msg: 'it broke',
        err: { name: 'TypeError', code: 'E_BROKE', message: 'it broke' },
      });
      expect(line?.err).toMatchObject({
        cause: { name: 'Error', code: 'ECONNRESET', message: 'socket hang up' },
      });
      expect(Object.keys(line?.err as object).sort()).toEqual(['cause', 'code', 'message', 'name', 'stack']);
    }
  });

  const SECRETS: readonly (readonly [string, (logger: Logger) => void, string])[] = [
    ['a header', (l) => l.info({ headers: { Authorization: 'Basic c2VjcmV0' } }, 'm'), 'c2VjcmV0'],
    ['a field of a child', (l) => l.child({ token: 'open-sesame' }).info('m'), 'open-sesame'],
    [
      'a field of a grandchild',
      (l) =>
        l
          .child({ a: 1 })
          .child({ x: { password: 'pw1' } })
          .info('m'),
      'pw1',
    ],
    ['a field deep inside', (l) => l.info({ a: [{ b: { c: { credential: 'turnpw' } } }] }, 'm'), 'turnpw'],
    ['an address', (l) => l.info({ remoteAddress: '192.0.2.7' }, 'm'), '192.0.2.7'],
    ['a signal', (l) => l.info({ signal: { __typename: 'Offer', sdp: 'x=y' } }, 'm'), 'x=y'],
    ['a candidate in a list', (l) => l.info({ items: [CANDIDATE] }, 'm'), '192.0.2.7'],
    ['a token in a message', (l) => l.info(`refused ${TOKEN}`), 'c2lnbmF0dXJl'],
    ['a token that a message takes in', (l) => l.info('refused %s', TOKEN), 'c2lnbmF0dXJl'],
    ['an object that a message takes in', (l) => l.info('refused %j', { sdp: 'x=y' }), 'x=y'],
    ['an SDP in a message', (l) => l.info(`bad value ${JSON.stringify(SDP)}`), 'veryverysecretpassword'],
    ['an SDP of an error', (l) => l.error(new Error(`bad value ${SDP}`)), '192.0.2.7'],
    ['a token of an error in a field', (l) => l.error({ err: new Error(TOKEN) }), 'c2lnbmF0dXJl'],
    ['an error in a field of any name', (l) => l.warn({ why: new Error(CANDIDATE) }, 'm'), '192.0.2.7'],
    ['a password of a URL', (l) => l.error(new Error('no redis://:hunter2@redis:6379/0')), 'hunter2'],
  ];
  it.each(SECRETS)('does not show %s', (_, use, secret) => {
    const lines = linesOf(use);
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(lines)).toContain('[redacted]');
    expect(JSON.stringify(lines)).not.toContain(secret);
  });
});
