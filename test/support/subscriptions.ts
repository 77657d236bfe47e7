import { createECDH, randomBytes } from 'node:crypto';

/** What a browser that subscribes to push makes: its keys, and the part of them that it tells. */
export interface BrowserKeys {
  readonly privateKey: Buffer;
  readonly auth: Buffer;
  readonly told: { readonly p256dh: string; readonly auth: string };
}

export function browserKeys(): BrowserKeys {
  const pair = createECDH('prime256v1');
  const publicKey = pair.generateKeys();
  const auth = randomBytes(16);
  const told = { p256dh: publicKey.toString('base64url'), auth: auth.toString('base64url') };
  return { privateKey: pair.getPrivateKey(), auth, told };
}

/** A subscription that nobody holds. */
export function subscription(endpoint = `https://push.example.net/${randomBytes(8).toString('hex')}`) {
  return { endpoint, ...browserKeys().told };
}
