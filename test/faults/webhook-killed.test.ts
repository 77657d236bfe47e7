import { afterEach, describe, expect, it } from 'vitest';
import { tokenFor } from '../support/app.ts';
import { type Client, createClient } from '../support/client.ts';
import { endInstances, startInstance } from '../support/instance.ts';
import * as operations from '../support/operations.ts';
import { fine, Receiver, WEBHOOK_SECRET } from '../support/receiver.ts';
import { createWorld, initiate, success, type World } from '../support/world.ts';

/** What becomes of a notification whose instance dies. */

/** Longest way, milliseconds, from the death of an instance to the delivery by another. */
const RESUMED = 10_000;

let world: World;
let receiver: Receiver;
const clients: Client[] = [];

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.dispose()));
  await endInstances();
  await world.close();
  await receiver.close();
});

describe('an instance that is killed in the middle of a delivery', () => {
  it('is followed by another, which tells all of the call, in order, within 10 s', async () => {
    receiver = await Receiver.start();
    const env = {
      WEBHOOK_URL: receiver.url,
      WEBHOOK_SECRETS: WEBHOOK_SECRET,
      WEBHOOK_ALLOW_HTTP: 'true',
      WEBHOOK_ALLOW_PRIVATE: 'true',
    };
    // Nobody of it takes notifications: so those of the victim's calls are the victim's.
    world = await createWorld();
    const surroundings = { DATABASE_URL: world.databaseUrl, REDIS_URL: world.redis.url, ...env };
    const victim = await startInstance(surroundings);
    const ada = createClient({ url: victim.url, token: await tokenFor('ada') });
    clients.push(ada);
    const conversationId = await world.conversation(['ada', 'ben', 'cleo']);
    const start = async (callee: string) => {
      const input = { conversationId, calleeIds: [callee], sessionId: `ada-${callee}` };
      return success(await initiate(ada, input)).call.id;
    };
    // It has them, and the receiver does not answer.
    receiver.behave = () => {};
    const [first, second] = [await start('ben'), await start('cleo')];
    await expect.poll(() => receiver.kinds()).toEqual(['call.incoming', 'call.incoming']);
    // Made there too, and still waiting behind it.
    await ada.mutate(operations.InviteToCall, { callId: first, userIds: ['cleo'] });
    await startInstance(surroundings);

    receiver.behave = fine;
    const killedAt = Date.now();
    victim.signal('SIGKILL');
    await victim.ended;
    const told = ['call.incoming', 'call.incoming', 'call.incoming'];
    await expect.poll(() => receiver.kinds(first), { timeout: RESUMED }).toEqual(told);
    await expect.poll(() => receiver.kinds(second)).toEqual(told.slice(1));
    const tookMs = receiver.all.at(-1)!.at - killedAt;
    expect(tookMs).toBeLessThan(RESUMED);
    const [taken, again, invited] = receiver.messages(first).map(({ data }) => data);
    expect(again).toEqual(taken);
    expect(invited).toMatchObject({ userIds: ['cleo'] });
    expect(invited!.sequence).toBeGreaterThan(again!.sequence);
  });
});
