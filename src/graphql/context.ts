import type { Viewer } from '../auth/viewer.ts';
import { CodedError } from '../errors.ts';
import type { OperationObserver } from '../observability/operations.ts';
import type { Services, SocketLink, Turn } from './services.ts';

/** What a resolver is given beside its arguments. */
export interface Context {
  readonly services: Services;
  /** Who asks, or why that is not known. Read it through `viewerOf`. */
  readonly identity: Viewer | CodedError;
  /** The WebSocket that carries the operation; null over HTTP. */
  readonly socket: SocketLink | null;
  /** The operation's place among the signals of its socket; null where it sends none. */
  readonly turn: Turn | null;
  /** Calls back when nobody hears a stream any more; null where the transport ends it by itself. */
  readonly onGone: ((end: () => void) => void) | null;
  /** Told how each operation went; null where nobody wants to know. */
  readonly observer: OperationObserver | null;
  /** Of the HTTP request, or the id that the client gave to the operation on its socket: not checked then. */
  readonly requestId: string | null;
  /** Null over HTTP. */
  readonly socketId: string | null;
  /** As the client sent it (W3C Trace Context); null where it did not, or no traces are wanted. */
  readonly traceparent: string | null;
}

/** Throws UNAUTHENTICATED where nobody is known. */
export function viewerOf(context: Context): Viewer {
  if (context.identity instanceof CodedError) throw context.identity;
  return context.identity;
}

/** Throws FORBIDDEN, naming the scope, where the viewer does not have it. */
export function requireScope(context: Context, scope: 'service' | 'admin'): Viewer {
  const viewer = viewerOf(context);
  if (viewer.scopes.has(scope)) return viewer;
  throw new CodedError('FORBIDDEN', `This needs a token with the scope "${scope}".`);
}
