import { describe, it } from 'vitest';
import { setTheStage } from '../support/browser/stage.ts';

/** How long it takes from the answer to the other one's first picture. The figure is for reading: it fails nothing. */

const stage = setTheStage({ browsers: 2 });
const CALLS = 11;

describe('from the answer to the first frame', () => {
  it(`is measured over ${CALLS} calls`, { timeout: 180_000 }, async ({ annotate }) => {
    const times: number[] = [];
    for (let i = 0; i < CALLS; i++) {
      const { ben } = await stage.inCall({ ada: '#f00', ben: '#00f' });
      await ben.until((phone) => phone.firstFrames.ada !== undefined);
      times.push((await ben.run((phone) => phone.firstFrames.ada)) as number);
      await ben.leave();
      await stage.close();
    }
    times.sort((one, other) => one - other);
    const ms = (index: number) => Math.round(times[index] as number);
    const line = `answer to first frame: median ${ms(CALLS >> 1)} ms (${ms(0)} to ${ms(CALLS - 1)}, ${CALLS} calls)`;
    await annotate(line, 'notice');
    process.stdout.write(`${line}\n`);
  });
});
