import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as ws from 'ws';
import { framed } from '../../src/http/frames.ts';

/** What a client's own reader makes of frames that a server wrote. */
function read(frames: Buffer): string[] {
  const messages: string[] = [];
  // Not in the types of ws.
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => import('node:stream').Writable };
  const receiver = new Receiver({ isServer: false, allowSynchronousEvents: true });
  receiver.on('message', (data: Buffer, isBinary: boolean) => {
    expect(isBinary).toBe(false);
    messages.push(data.toString());
  });
  receiver.write(frames);
  return messages;
}

const LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536, 70_000];

it('text of any length and script arrives as it was sent, several messages in one piece', () => {
  const message = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(...LENGTHS).map((length) => 'x'.repeat(length)),
    fc.constantFrom(...LENGTHS).map((length) => 'ü'.repeat(length / 2)),
  );
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), (messages) => {
      expect(read(framed(messages))).toEqual(messages);
    }),
    { numRuns: 200 },
  );
});
