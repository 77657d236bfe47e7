import { randomBytes } from 'node:crypto';
import type { IceServerAddress } from './ice-server-url.ts';
import {
  ATTRIBUTES,
  encodeRequest,
  errorCodeOf,
  hasIntegrity,
  longTermKey,
  METHODS,
  type StunMessage,
  withFingerprint,
  withIntegrity,
  xorAddressOf,
} from './stun-message.ts';
import type { TurnCredential } from './turn-credential.ts';

/** Whether a STUN or TURN server does for us what it is to do for browsers. */

/** A way to a server and back. */
export interface StunSession {
  /** The answer to this request. Rejects where the way is gone, or the session's signal says that it is late. */
  request(message: Buffer): Promise<StunMessage>;
  close(): void;
}

/** Rejects where there is no way to the server. After the abort of `signal` nothing is left open. */
export type OpenStunSession = (address: IceServerAddress, signal: AbortSignal) => Promise<StunSession>;

/** What is wrong with the server, in words that may be logged: nothing of what it sent is in them. */
export class IceServerFault extends Error {
  override readonly name = 'IceServerFault';
}

export interface IceServerCheck {
  readonly address: IceServerAddress;
  /** For TURN; null for STUN. */
  readonly credential: TurnCredential | null;
}

/** An allocation for UDP (RFC 8656 section 18.7): what browsers ask for. */
const FOR_UDP = [[ATTRIBUTES.requestedTransport, Buffer.from([17, 0, 0, 0])]] as const;
const NO_MORE = [[ATTRIBUTES.lifetime, Buffer.alloc(4)]] as const;

/** Milliseconds from the first request to its answer. Rejects with an IceServerFault, or a system error. */
export async function checkIceServer(
  { address, credential }: IceServerCheck,
  open: OpenStunSession,
  signal: AbortSignal,
): Promise<number> {
  const session = await open(address, signal);
  try {
    const sentAt = performance.now();
    const answer = await (credential === null
      ? ask(session, METHODS.binding, [])
      : ask(session, METHODS.allocate, FOR_UDP));
    const roundTrip = performance.now() - sentAt;
    if (credential === null) expectAddress(answer, ATTRIBUTES.xorMappedAddress);
    else await allocate(session, credential, answer);
    return roundTrip;
  } finally {
    session.close();
  }
}

/**
 * From the answer to a request without a credential on: RFC 8656 section 7. What is allocated is given back
 * (section 8). One that relays for anyone is no worse for a call.
 */
async function allocate(session: StunSession, credential: TurnCredential, first: StunMessage): Promise<void> {
  let answer = first;
  let login: Login | null = null;
  if (errorCodeOf(answer) === 401) {
    login = loginBy(credential, answer);
    answer = await ask(session, METHODS.allocate, FOR_UDP, login);
    // Stale nonce: the one that we were given was about to run out.
    if (errorCodeOf(answer) === 438) {
      login = loginBy(credential, answer);
      answer = await ask(session, METHODS.allocate, FOR_UDP, login);
    }
    if (errorCodeOf(answer) === 401) {
      throw new IceServerFault('it refuses the credential (401): is the secret the same, are the clocks?');
    }
    if (answer.class === 'success' && !hasIntegrity(answer, login.key)) {
      throw new IceServerFault('its answer is not signed with the credential');
    }
  }
  expectAddress(answer, ATTRIBUTES.xorRelayedAddress);
  // It has shown what it can; what is not given back runs out by itself.
  await ask(session, METHODS.refresh, NO_MORE, login).catch(() => {});
}

/** For the long-term credential mechanism (RFC 8489 section 9.2). */
interface Login {
  readonly username: string;
  readonly realm: Buffer;
  readonly nonce: Buffer;
  readonly key: Buffer;
}

function loginBy({ username, credential }: TurnCredential, answer: StunMessage): Login {
  const realm = answer.attributes.get(ATTRIBUTES.realm);
  const nonce = answer.attributes.get(ATTRIBUTES.nonce);
  if (realm === undefined || nonce === undefined) throw new IceServerFault(refusal(answer));
  return { username, realm, nonce, key: longTermKey(username, realm.toString(), credential) };
}

async function ask(
  session: StunSession,
  method: number,
  attributes: readonly (readonly [number, Buffer])[],
  login: Login | null = null,
): Promise<StunMessage> {
  const transactionId = randomBytes(12);
  if (login === null)
    return session.request(withFingerprint(encodeRequest(method, transactionId, attributes)));
  const request = encodeRequest(method, transactionId, [
    ...attributes,
    [ATTRIBUTES.username, Buffer.from(login.username)],
    [ATTRIBUTES.realm, login.realm],
    [ATTRIBUTES.nonce, login.nonce],
  ]);
  return session.request(withFingerprint(withIntegrity(request, login.key)));
}

function expectAddress(answer: StunMessage, attribute: number): void {
  if (answer.class !== 'success') throw new IceServerFault(refusal(answer));
  if (xorAddressOf(answer, attribute) === null) throw new IceServerFault('its answer has no address in it');
}

function refusal(answer: StunMessage): string {
  return `it answers with error ${errorCodeOf(answer) ?? 'of no number'}`;
}
