import type { CallService } from '../graphql/services.ts';
import { isCallId } from '../ids.ts';
import { type Db, readCall, readCalls, seatedCallIds } from './call.repository.ts';
import { find } from './call.ts';
import { viewOf } from './changes.ts';

/** What can be asked of calls that go on, without changing them. */
export type CallReads = Pick<CallService, 'call' | 'activeCalls'>;

export function readsOf(db: Db): CallReads {
  return {
    async call(viewer, id) {
      if (!isCallId(id)) return null;
      const read = await readCall(db, id);
      const participant = read && find(read.call, viewer.userId);
      // Whoever was taken out of the conversation, or of the call, sees it no more while it is live.
      const out = !participant?.member || participant.invitation === 'REMOVED';
      if (!participant || (out && read.call.status !== 'ENDED')) return null;
      // To who blocked the inviter there was no call.
      if (participant.silence === 'BLOCKED') return null;
      return viewOf(read.call);
    },

    async activeCalls(viewer) {
      const calls = await readCalls(db, await seatedCallIds(db, viewer.userId));
      return calls.map(({ call }) => viewOf(call));
    },
  };
}
