import { RejectionError, RequestError } from './errors.ts';
import { DeclineCallDocument } from './generated/graphql.ts';

/** What a service worker needs of the SDK: to read what a push says, and to decline a call without a page. */

export { RejectionError, RequestError, RingdownError } from './errors.ts';

/**
 * `incoming`: a ring began. All others: it stopped, because the user answered or declined it elsewhere, the caller
 * gave up or the call ended (`cancelled`), or it ran out (`missed`).
 */
export type PushKind = 'incoming' | 'answered_elsewhere' | 'declined' | 'cancelled' | 'missed';

export interface PushMessage {
  /** The same where it comes twice. */
  readonly id: string;
  readonly kind: PushKind;
  /** Grows from one message of a call to the next: what comes after a higher one is late. */
  readonly seq: number;
  /** Who registered this browser last. */
  readonly userId: string;
  readonly callId: string;
  readonly conversationId: string;
  readonly type: 'AUDIO' | 'VIDEO';
  readonly callerId: string;
  /** RFC 3339. */
  readonly at: string;
  /** Until when it rings, RFC 3339; null for all kinds but `incoming`. */
  readonly ringDeadline: string | null;
}

const KINDS: readonly unknown[] = ['incoming', 'answered_elsewhere', 'declined', 'cancelled', 'missed'];

/** The `data` of a push event. Null where it is none of Ringdown's, or of a kind that this version does not know. */
export function readPush(data: { json(): unknown } | null): PushMessage | null {
  try {
    const message = data?.json() as PushMessage | null | undefined;
    return KINDS.includes(message?.kind) && typeof message?.callId === 'string' ? message : null;
  } catch {
    return null;
  }
}

/**
 * Declines a call by one request, without a connection. A call that is over is as good as declined. Rejects with a
 * RejectionError, a RequestError, or what `fetch` rejects with.
 */
export async function declineCall(options: {
  /** The server: `https://calls.example`, with or without `/graphql`. */
  readonly url: string;
  /** A JWT for the user. */
  readonly token: string;
  readonly callId: string;
  /** Tells the caller that there is another call. */
  readonly busy?: boolean;
}): Promise<void> {
  const { token, callId, busy = false } = options;
  const url = new URL(options.url);
  if (url.pathname === '/') url.pathname = '/graphql';
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query: String(DeclineCallDocument), variables: { callId, busy } }),
  });
  const { data, errors } = (await response.json()) as {
    data?: { declineCall: ConstructorParameters<typeof RejectionError>[0] & { __typename: string } };
    errors?: readonly { message: string; extensions?: { code?: string } }[];
  };
  const answer = data?.declineCall;
  if (!answer) {
    const [error] = errors ?? [];
    throw new RequestError(error?.extensions?.code ?? 'UNKNOWN', error?.message ?? 'No message');
  }
  if (answer.__typename === 'Rejection' && answer.code !== 'CALL_ENDED') throw new RejectionError(answer);
}
