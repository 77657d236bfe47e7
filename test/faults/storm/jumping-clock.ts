/**
 * Loaded into an instance before anything else: SIGUSR2 moves its clock, and another one moves it back. It
 * stands for a jump of the machine's clock, which would be everybody's.
 */

const JUMP = 90_000;
const RealDate = Date;
let offset = 0;

globalThis.Date = new Proxy(RealDate, {
  construct: (target, given: []) =>
    given.length === 0 ? new target(RealDate.now() + offset) : new target(...given),
  get: (target, name, receiver) =>
    name === 'now' ? () => RealDate.now() + offset : Reflect.get(target, name, receiver),
});

process.on('SIGUSR2', () => {
  offset = offset === 0 ? JUMP : 0;
});
