import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CLOSE } from '../../src/errors.ts';

describe('the close codes', () => {
  it('stand in PROTOCOL.md as the server has them: each with whether to come back', () => {
    const table = [...readFileSync('PROTOCOL.md', 'utf8').matchAll(/^\| (\d{4}) \| .* \| (yes|no)\b.*\|$/gm)];
    const documented = table.map(([, code, comeBack]) => [Number(code), comeBack === 'yes']);
    const own = Object.values(CLOSE).map(({ code, comeBack }) => [code, comeBack]);
    expect(documented).toEqual(own.sort(([a], [b]) => Number(a) - Number(b)));
  });
});
