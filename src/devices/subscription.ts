import { createECDH } from 'node:crypto';
import { isIP } from 'node:net';
import { whyNotTo } from '../notifications/outside-address.ts';

/** What a browser's push subscription has to look like (RFC 8030, RFC 8291). Pure. */

/** Where endpoints may lead that are not of the internet: in tests, whose push service is on their own machine. */
export interface AllowedEndpoints {
  readonly allowHttp: boolean;
  readonly allowPrivate: boolean;
}

/** Characters of an endpoint: the longest known are some 500. */
export const MAX_ENDPOINT = 2_000;
const CURVE = 'prime256v1';
/** A point, not compressed: 0x04 and two coordinates. */
const POINT_BYTES = 65;
const AUTH_BYTES = 16;

/**
 * What is wrong with a subscription, or null; never with a value in it, for all three are secrets. Where an
 * endpoint's name leads is looked at when something is sent to it.
 */
export function subscriptionProblem(
  subscription: { readonly endpoint: string; readonly p256dh: string; readonly auth: string },
  allowed: AllowedEndpoints,
): { readonly field: 'endpoint' | 'p256dh' | 'auth'; readonly problem: string } | null {
  const { endpoint, p256dh, auth } = subscription;
  const problem = endpointProblem(endpoint, allowed);
  if (problem) return { field: 'endpoint', problem };
  if (!isPoint(p256dh)) return { field: 'p256dh', problem: 'is not a public key of P-256 as base64url' };
  if (bytesOf(auth)?.length !== AUTH_BYTES)
    return { field: 'auth', problem: `is not ${AUTH_BYTES} bytes as base64url` };
  return null;
}

function endpointProblem(endpoint: string, { allowHttp, allowPrivate }: AllowedEndpoints): string | null {
  if (endpoint.length > MAX_ENDPOINT) return `is longer than ${MAX_ENDPOINT} characters`;
  if (!URL.canParse(endpoint)) return 'is not a URL';
  const { protocol, hostname, username, password } = new URL(endpoint);
  if (protocol !== 'https:' && !(allowHttp && protocol === 'http:')) return 'is not an https URL';
  if (username !== '' || password !== '') return 'has a user name or a password in it';
  const host = hostname.replace(/^\[|\]$/g, '');
  return isIP(host) === 0 ? null : whyNotTo(host, allowPrivate);
}

/** An application server's key pair as base64url; null where the private key is none, else its public key. */
export function publicKeyOf(privateKey: string): string | null {
  const bytes = bytesOf(privateKey);
  if (bytes?.length !== 32) return null;
  try {
    const pair = createECDH(CURVE);
    pair.setPrivateKey(bytes);
    return pair.getPublicKey('base64url', 'uncompressed');
  } catch {
    return null;
  }
}

function isPoint(text: string): boolean {
  const bytes = bytesOf(text);
  if (bytes?.length !== POINT_BYTES || bytes[0] !== 4) return false;
  try {
    const pair = createECDH(CURVE);
    pair.generateKeys();
    // Throws where it is not on the curve.
    pair.computeSecret(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Base64url without padding, and nothing else; browsers write it so. */
function bytesOf(text: string): Buffer | null {
  if (!/^[A-Za-z0-9_-]{1,128}$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64url');
  return bytes.toString('base64url') === text ? bytes : null;
}
