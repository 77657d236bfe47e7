import { describe, expect, it } from 'vitest';
import { validateSignal } from '../../src/signals/validate-signal.ts';

/** The value of an extension is free text by the grammar of most stacks: the one place where a line could hide. */
const HOST = 'candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host';

describe('a candidate that would add a line to its peer’s description (M6)', () => {
  it.each(['\r\n', '\n', '\r', '\0'])('M6: is refused with %j in the value of an extension', (char) => {
    const candidate = `${HOST} network-name wifi${char}a=ice-lite`;
    const items = [{ candidate, sdpMid: '0' }];
    expect(validateSignal({ candidates: { items, generation: 1 } })).toEqual({
      problem: 'signal.candidates.items[0].candidate: a control character, or one that is not ASCII',
      valid: 0,
      invalid: 1,
    });
  });
});
