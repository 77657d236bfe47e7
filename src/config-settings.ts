import { z } from 'zod';
import {
  boolean,
  checkedBy,
  duration,
  fraction,
  host,
  integer,
  list,
  oneOf,
  origin,
  siftedJson,
  siftedList,
  text,
  url,
} from './config-values.ts';
import { publicKeyOf } from './devices/subscription.ts';
import { readTrustedDocuments } from './graphql/trusted-documents.ts';
import { isProxyName } from './http/client-address.ts';
import { checkIceServers, checkIceServerUrl, MAX_URLS } from './ice-servers/ice-server-url.ts';

/**
 * Every setting of a deployment, once: what it is, what it may be, what it is by default and why. The
 * server reads its environment by this table; `.env.example` and the README's table are printed from it.
 */

export interface Setting<T = unknown, D extends string | null = string | null> {
  readonly group: string;
  readonly about: string;
  /** What values are allowed, for people. */
  readonly allowed: string;
  /** Null: not set, or worked out from other settings; then `defaultNote` says how. */
  readonly default: D;
  readonly defaultNote?: string;
  /** Why this default. */
  readonly why: string;
  /** Never shown in a message, and may come from a file named by `<NAME>_FILE`. */
  readonly secret?: true;
  readonly schema: z.ZodType<T, string>;
}

function setting<T, const D extends string | null>(definition: Setting<T, D>): Setting<T, D> {
  return definition;
}

const turnUrl = checkedBy((value) =>
  /^turns?:/i.test(value) ? checkIceServerUrl(value) : 'is not a turn: or turns: URL (RFC 7065)',
);

const trustedDocuments = list(text(1, 4096)).transform((names, context) => {
  const read = readTrustedDocuments(names);
  if ('documents' in read) return read.documents;
  for (const message of read.problems) context.addIssue({ code: 'custom', message });
  return z.NEVER;
});

const webhookSecret = checkedBy((value) => {
  const encoded = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(value)?.[1];
  if (encoded === undefined || encoded.length % 4 !== 0) return 'is not `whsec_` and base64';
  const bytes = Buffer.from(encoded, 'base64').length;
  return bytes < 24 ? 'is too short' : bytes > 64 ? 'is too long' : null;
});

const vapidKey = checkedBy((value) => (publicKeyOf(value) === null ? 'is not a private key of P-256' : null));
const subject = checkedBy((value) =>
  /^mailto:[^\s@]+@[^\s@]+$/.test(value) || (value.startsWith('https://') && URL.canParse(value))
    ? null
    : 'is neither a mailto: nor an https: URL',
);

const proxyName = checkedBy((value) =>
  value === 'none' || isProxyName(value) ? null : 'is neither an address nor a range nor one of the words',
);
const proxies = list(proxyName)
  .refine((names) => !names.includes('none') || names.length === 1, { error: 'has `none` beside others' })
  .transform((names) => names.filter((name) => name !== 'none'));

export const SETTINGS = {
  NODE_ENV: setting({
    group: 'Server',
    about:
      'Kind of deployment. `production` never hands out demo tokens, and does not start on secrets that are examples or easily guessed.',
    allowed: '`production`, `development` or `test`',
    default: 'development',
    why: 'what Node programs take its absence for; a misspelt one is refused, since it would open the demo',
    schema: oneOf('production', 'development', 'test'),
  }),
  HOST: setting({
    group: 'Server',
    about: 'Address to listen on.',
    allowed: 'address or host name',
    default: null,
    defaultNote: '`127.0.0.1` with the embedded database, else `0.0.0.0`',
    why: 'embedded mode hands out demo tokens, so nobody outside the machine may reach it unasked',
    schema: host,
  }),
  PORT: setting({
    group: 'Server',
    about: 'Port of `/graphql`, `/healthz` and `/readyz`; 0 takes any free one.',
    allowed: 'port, 0 to 65535',
    default: '4000',
    why: 'the usual port of a GraphQL server',
    schema: integer(0, 65_535),
  }),
  METRICS_PORT: setting({
    group: 'Server',
    about: 'Port of `/metrics`, apart from PORT so that it need not be public; 0 takes any free one.',
    allowed: 'port, 0 to 65535, another than PORT',
    default: '9464',
    why: "the OpenTelemetry Prometheus exporter's port",
    schema: integer(0, 65_535),
  }),
  ALLOWED_ORIGINS: setting({
    group: 'Server',
    about: 'Web origins, beside its own, whose pages may use the API.',
    allowed: 'list of origins such as `https://app.example.com`',
    default: null,
    why: 'a page from elsewhere is let in by name only; native apps send no origin and need none',
    schema: list(origin),
  }),
  TRUSTED_DOCUMENTS: setting({
    group: 'Server',
    about:
      'The only GraphQL documents that are run, by their text or by their id. `sdk` stands for those of the SDK of this version.',
    allowed:
      'list of JSON files from id to document, as persistedDocuments of the GraphQL Code Generator makes them, and of the word `sdk`',
    default: null,
    why: 'other clients than the SDK write documents of their own; the limits hold for all of them',
    schema: trustedDocuments,
  }),
  INTROSPECTION: setting({
    group: 'Server',
    about: 'Lets clients ask for the schema, and suggests names in errors (“Did you mean …?”).',
    allowed: '`true` or `false`',
    default: null,
    defaultNote: '`false` in production, else `true`',
    why: 'who writes a client has `schema.graphql`; the others need not be told what there is',
    schema: boolean,
  }),
  GRAPHIQL: setting({
    group: 'Server',
    about: 'Answers browsers at `/graphql` with GraphiQL, which wants INTROSPECTION.',
    allowed: '`true` or `false`; not `true` with TRUSTED_DOCUMENTS',
    default: null,
    defaultNote: '`false` in production and with TRUSTED_DOCUMENTS, else `true`',
    why: 'a page to try things out on',
    schema: boolean,
  }),
  MAX_CONNECTIONS: setting({
    group: 'Server',
    about: 'WebSocket connections one instance takes; further ones are closed with 1013.',
    allowed: '1 to 1000000',
    default: '10000',
    why: 'at some 30 KB for an idle connection about 300 MB, which a small instance has',
    schema: integer(1, 1_000_000),
  }),
  MAX_CONNECTIONS_PER_USER: setting({
    group: 'Server',
    about: 'WebSocket connections of one user on one instance; further ones are closed with 1013.',
    allowed: '1 to 1000000',
    default: '50',
    why: 'more windows and devices than a person has, too few to take the place of everyone',
    schema: integer(1, 1_000_000),
  }),
  MAX_CONNECTIONS_PER_ADDRESS: setting({
    group: 'Server',
    about:
      'WebSocket connections of one client address on one instance, of IPv6 one /64; further ones are closed with 1013.',
    allowed: '1 to 1000000',
    default: null,
    defaultNote: '`1000` where TRUSTED_PROXIES is set, else as many as MAX_CONNECTIONS',
    why: "room for a large office behind one address, and it takes ten of them to fill an instance; while no proxy is named all clients may have the proxy's address, so that none is refused unasked",
    schema: integer(1, 1_000_000),
  }),
  TRUSTED_PROXIES: setting({
    group: 'Server',
    about:
      'Proxies whose `X-Forwarded-For` tells the address of a client. Name them alone, not networks that clients are in.',
    allowed:
      'list of addresses, of ranges such as `10.1.0.0/16`, and of the words `loopback`, `linklocal`, `uniquelocal`; or `none`: clients connect directly',
    default: null,
    defaultNote: 'not known; then nothing is limited by address',
    why: "anyone can send that header, so from all others it is ignored; and a proxy that nobody named would have all its clients' limits",
    schema: proxies,
  }),
  CONNECTION_RATE: setting({
    group: 'Server',
    about:
      'WebSocket connections a user may open in a minute, over all instances; further ones are closed with 1013, of an address answered with 429.',
    allowed: '1 to 1000000',
    default: '120',
    why: 'all the windows that MAX_CONNECTIONS_PER_USER allows may come back twice in a minute, as in a rolling restart',
    schema: integer(1, 1_000_000),
  }),
  FAILED_TOKEN_RATE: setting({
    group: 'Server',
    about:
      'Tokens that are not valid (not those that ran out) that a client address may show in a minute, over all instances; then it may show none but those known to be good.',
    allowed: '1 to 1000000',
    default: '60',
    why: 'an app that was given a wrong one and tries each second is not shut out; a search, or a flood of signatures to check, is',
    schema: integer(1, 1_000_000),
  }),
  USERS_PER_ADDRESS: setting({
    group: 'Server',
    about:
      "How many users' worth of CONNECTION_RATE, INITIATE_RATE, JOIN_RATE, REPORT_RATE and SIGNAL_RATE one client address has, of IPv6 one /64. Needs TRUSTED_PROXIES.",
    allowed: '1 to 1000000',
    default: '100',
    why: 'an office or a mobile network behind one address has thousands of users, of whom few are at their limit at once; someone with many accounts is stopped there',
    schema: integer(1, 1_000_000),
  }),
  DATABASE_URL: setting({
    group: 'Storage',
    about: 'Postgres. Without it the embedded database, for one instance.',
    allowed: '`postgres://` URL',
    default: null,
    why: 'a first try needs no server',
    secret: true,
    schema: url('postgres', 'postgresql'),
  }),
  DATA_DIR: setting({
    group: 'Storage',
    about: 'Folder of the embedded database; without it, in memory. Unused with DATABASE_URL.',
    allowed: 'path',
    default: null,
    why: 'a first try leaves nothing behind',
    schema: text(1, 4096),
  }),
  DATABASE_POOL_SIZE: setting({
    group: 'Storage',
    about: 'Connections to Postgres one instance holds at most.',
    allowed: '2 to 500',
    default: '10',
    why: 'transactions are a few milliseconds long; eight instances fit into the 100 that Postgres allows',
    schema: integer(2, 500),
  }),
  DATABASE_TIMEOUT: setting({
    group: 'Storage',
    about: 'Longest time that a database operation may take, the wait for a connection included.',
    allowed: 'duration, 100ms to 1m',
    default: '5s',
    why: 'a thousand times the usual; a client waits that long without giving up',
    schema: duration('100ms', '1m'),
  }),
  REDIS_URL: setting({
    group: 'Storage',
    about: 'Redis, needed from the second instance on. Without it signals stay in memory.',
    allowed: '`redis://` or `rediss://` URL',
    default: null,
    why: 'one instance needs none',
    secret: true,
    schema: url('redis', 'rediss'),
  }),
  JWT_SECRET: setting({
    group: 'Identity',
    about: 'Secret shared with whoever signs tokens (HS256). Instead of JWT_JWKS_URL.',
    allowed: '32 bytes or more',
    default: null,
    why: 'a default would let anyone in; HS256 wants a key as long as its hash (RFC 7518, section 3.2)',
    secret: true,
    schema: text(32, 4096),
  }),
  JWT_PREVIOUS_SECRET: setting({
    group: 'Identity',
    about:
      'The secret before JWT_SECRET: tokens signed with it are still taken. To change secrets, set both on ' +
      'every instance, let the signer change, and take this one away when its last token has run out.',
    allowed: '32 bytes or more, another than JWT_SECRET',
    default: null,
    why: 'one secret is enough but while it is being changed',
    secret: true,
    schema: text(32, 4096),
  }),
  JWT_JWKS_URL: setting({
    group: 'Identity',
    about: 'Public keys of whoever signs tokens (RS256, PS256, ES256, EdDSA). Instead of JWT_SECRET.',
    allowed: '`https://` URL; `http://` too outside production',
    default: null,
    why: 'whose keys to trust is for the deployment to say',
    schema: url('https', 'http'),
  }),
  JWT_ISSUER: setting({
    group: 'Identity',
    about: "What a token's `iss` has to be. Required with JWT_SECRET or JWT_JWKS_URL.",
    allowed: 'text',
    default: null,
    why: 'a key that signs for several services must not open this one by chance',
    schema: text(1, 1024),
  }),
  JWT_AUDIENCE: setting({
    group: 'Identity',
    about: "What a token's `aud` has to contain. Required with JWT_SECRET or JWT_JWKS_URL.",
    allowed: 'text',
    default: null,
    why: 'as for JWT_ISSUER',
    schema: text(1, 1024),
  }),
  MAX_PARTICIPANTS: setting({
    group: 'Calls',
    about: 'People in one call at once.',
    allowed: '2 to 50',
    default: '10',
    why: 'every peer sends to every other: at ten each uploads nine streams, about what a home line takes',
    schema: integer(2, 50),
  }),
  MAX_INVITEES: setting({
    group: 'Calls',
    about: 'People ever invited to one call.',
    allowed: '1 to 1000',
    default: '100',
    why: 'ten times who can be in it: room for those who decline, no room to ring a whole company',
    schema: integer(1, 1000),
  }),
  MAX_CALL_DURATION: setting({
    group: 'Calls',
    about: 'A call is ended when it is this old.',
    allowed: 'duration, 1s to 30d',
    default: '24h',
    why: 'longer than any meeting; what lasts longer was forgotten',
    schema: duration('1s', '30d'),
  }),
  CALL_DURATION_WARNING: setting({
    group: 'Calls',
    about: 'How long before that end its participants are warned.',
    allowed: 'duration, 100ms or more, less than MAX_CALL_DURATION',
    default: null,
    defaultNote: '`1h`, or half of MAX_CALL_DURATION where that is 2h or less',
    why: 'time enough to come to a close or to start a new call',
    schema: duration('100ms', '30d'),
  }),
  RING_TIMEOUT: setting({
    group: 'Calls',
    about: 'How long an invitation rings at most.',
    allowed: 'duration, 1s to 1h',
    default: '5m',
    why: 'long enough to fetch a phone from the next room and unlock it',
    schema: duration('1s', '1h'),
  }),
  DISCONNECT_GRACE: setting({
    group: 'Calls',
    about: 'How long a seat is kept for a lost connection.',
    allowed: 'duration, 100ms to 10m',
    default: null,
    defaultNote: '`15s`; `2m` in a demo',
    why: 'a phone changes from WLAN to mobile in less; the others are not left waiting much longer; in a demo people type',
    schema: duration('100ms', '10m'),
  }),
  ALONE_TIMEOUT: setting({
    group: 'Calls',
    about: 'How long one person may be alone in a group call before it ends.',
    allowed: 'duration, 100ms to 24h',
    default: '60s',
    why: 'the others may come back from a lost connection; longer is a call left open by mistake',
    schema: duration('100ms', '24h'),
  }),
  EVENT_RETENTION: setting({
    group: 'Calls',
    about: 'How long what happened in a call (its timeline) is kept after its end. The call itself stays.',
    allowed: 'duration, 1s to 3650d',
    default: '90d',
    why: 'long enough to explain a call that somebody complains of, no record of people for ever',
    schema: duration('1s', '3650d'),
  }),
  INITIATE_RATE: setting({
    group: 'Calls',
    about: 'Calls a user may start in a minute, over all instances.',
    allowed: '1 to 10000',
    default: '10',
    why: 'more than a person dials, less than a nuisance',
    schema: integer(1, 10_000),
  }),
  JOIN_RATE: setting({
    group: 'Calls',
    about: 'Joins a user may try in a minute, over all instances; repeats by the same session do not count.',
    allowed: '1 to 100000',
    default: '60',
    why: 'a device that tries each second after a failure; a search for calls that let one in needs far more',
    schema: integer(1, 100_000),
  }),
  SIGNAL_RATE: setting({
    group: 'Calls',
    about:
      'Signals a user may send in a minute, over all instances; repeats under the same number do not count.',
    allowed: '1 to 10000000',
    default: '6000',
    why: 'one of ten who restarts ICE on all nine links sends some 25 signals on each, with the slowest gathering of candidates: that every 2.5 s; with clients that send each candidate by itself every 5 s',
    schema: integer(1, 10_000_000),
  }),
  REPORT_RATE: setting({
    group: 'Calls',
    about:
      "Reports on a call's quality that a user may send in a minute, over all instances; repeats under the same id do not count.",
    allowed: '1 to 10000',
    default: '30',
    why: 'a device sends one at the end of a call, and one for each link that fails; with ten in a call that is nine',
    schema: integer(1, 10_000),
  }),
  ICE_SERVERS: setting({
    group: 'ICE',
    about:
      'STUN and TURN servers with fixed credentials, given to participants as they are. What is not valid in it is left out and logged as an error (see ICE_STRICT).',
    allowed: 'JSON, `RTCIceServer[]` (RFC 7064, RFC 7065)',
    default: null,
    why: 'no outside server is used that the operator did not choose',
    secret: true,
    schema: siftedJson([], checkIceServers),
  }),
  TURN_URLS: setting({
    group: 'ICE',
    about:
      'TURN servers for which every participant gets credentials of their own that soon run out. Needs TURN_SECRETS. What is not valid is left out, as for ICE_SERVERS.',
    allowed: 'list of `turn:` and `turns:` URLs (RFC 7065)',
    default: null,
    why: 'as for ICE_SERVERS',
    schema: siftedList(turnUrl, MAX_URLS),
  }),
  TURN_SECRETS: setting({
    group: 'ICE',
    about:
      "Secrets shared with those TURN servers (coturn's `static-auth-secret`). The first one signs; coturn takes all of its own, so that one list does for both while a secret is changed.",
    allowed: 'list, so that a new one can be brought in beside the old',
    default: null,
    why: 'a default would be known to everyone',
    secret: true,
    schema: siftedList(text(1, 1024), 8),
  }),
  TURN_CREDENTIAL_LIFETIME: setting({
    group: 'ICE',
    about: 'How long those credentials are good; clients fetch new ones at half of it.',
    allowed: 'duration, 1m to 1h',
    default: '1h',
    why: 'who copies one out of a page relays at your cost for an hour at most; shorter means more fetching',
    schema: duration('1m', '1h'),
  }),
  ICE_STRICT: setting({
    group: 'ICE',
    about: 'Refuses to start where anything in ICE_SERVERS, TURN_URLS or TURN_SECRETS is not valid.',
    allowed: '`true` or `false`',
    default: 'false',
    why: 'most calls need no TURN server: one misspelt is no reason to have none; `video_turn_config_valid` tells',
    schema: boolean,
  }),
  WEBHOOK_URL: setting({
    group: 'Notifications',
    about:
      "Where the app's back end hears of rings, their ends and the ends of calls, by POST (docs/webhooks.md). Needs WEBHOOK_SECRETS.",
    allowed: '`https://` URL; `http://` too with WEBHOOK_ALLOW_HTTP',
    default: null,
    why: 'whom to tell is for the deployment to say; without it nothing is written down for it',
    secret: true,
    schema: url('https', 'http'),
  }),
  WEBHOOK_SECRETS: setting({
    group: 'Notifications',
    about:
      'Secrets that sign those messages (Standard Webhooks), each of them; a new one goes beside the old until the receiver has it.',
    allowed: 'one or two of `whsec_` with 24 to 64 bytes in base64 after it',
    default: null,
    why: 'a default would let anyone pretend to be this server',
    secret: true,
    schema: list(webhookSecret).refine((secrets) => secrets.length <= 2, { error: 'has more than two' }),
  }),
  WEBHOOK_ALLOW_HTTP: setting({
    group: 'Notifications',
    about: 'Lets WEBHOOK_URL be without TLS. Whoever is on the way then reads who calls whom.',
    allowed: '`true` or `false`',
    default: 'false',
    why: 'what is told is about people; a network of one machine or one cluster may be safe enough',
    schema: boolean,
  }),
  WEBHOOK_ALLOW_PRIVATE: setting({
    group: 'Notifications',
    about:
      "Lets WEBHOOK_URL lead to this machine or into a private network. Link-local addresses and clouds' metadata services are refused all the same.",
    allowed: '`true` or `false`',
    default: 'false',
    why: 'a wrong name or a changed answer of the DNS must not turn the server against what stands beside it',
    schema: boolean,
  }),
  VAPID_PRIVATE_KEY: setting({
    group: 'Web push',
    about:
      "Private key with which rings are signed for browsers' push services (RFC 8292); the public key is worked out from it. With another key every browser has to subscribe anew. Needs VAPID_SUBJECT.",
    allowed: 'base64url, 32 bytes, as `npx web-push generate-vapid-keys` makes it',
    default: null,
    defaultNote: 'web push is off; a demo makes a key and keeps it with its data',
    why: 'the key is what browsers have subscribed to, so it has to outlive the database',
    secret: true,
    schema: vapidKey,
  }),
  VAPID_SUBJECT: setting({
    group: 'Web push',
    about: 'Whom a push service may write to about what this server sends.',
    allowed: '`mailto:` or `https:` URL',
    default: null,
    why: 'push services ask for it, and some refuse what is not real',
    schema: subject,
  }),
  MAX_DEVICES: setting({
    group: 'Web push',
    about: 'Devices that one user may register for web push.',
    allowed: '1 to 100',
    default: '20',
    why: 'more browsers than a person has; each is a request for every ring',
    schema: integer(1, 100),
  }),
  METRICS_PER_CALL: setting({
    group: 'Observability',
    about: 'Gives the metrics by call one series for each live call, instead of the largest call alone.',
    allowed: '`true` or `false`',
    default: 'false',
    why: 'series without bound are what brings a Prometheus down',
    schema: boolean,
  }),
  LOG_LEVEL: setting({
    group: 'Observability',
    about: 'The lowest level that is logged.',
    allowed: '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
    default: 'info',
    why: "the life of the process and of calls, without each command's line",
    schema: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting({
    group: 'Observability',
    about:
      'Collector of OpenTelemetry traces: OTLP over HTTP, JSON, at `/v1/traces` under this URL. Without it there are none. Headers for it: OTEL_EXPORTER_OTLP_HEADERS, as OpenTelemetry has it.',
    allowed: '`http://` or `https://` URL',
    default: null,
    why: 'traces cost something and tell where time goes: on where somebody looks at them',
    schema: url('http', 'https'),
  }),
  OTEL_SERVICE_NAME: setting({
    group: 'Observability',
    about: 'Name of the service in traces.',
    allowed: 'text, 1 to 128 characters',
    default: 'ringdown',
    why: 'what it is; another where several of them send to one collector',
    schema: text(1, 128),
  }),
  OTEL_TRACES_SAMPLER_ARG: setting({
    group: 'Observability',
    about: 'Share of traces that are kept, chosen by their ids: the same on every instance.',
    allowed: '0 to 1',
    default: '1',
    why: 'all, for a first look; under load a hundredth shows as much',
    schema: fraction,
  }),
} as const;

type Settings = typeof SETTINGS;
export type SettingName = keyof Settings;

/** What the settings parse to; null where one is not set and has no default. */
export type SettingValues = {
  readonly [K in SettingName]: Settings[K] extends Setting<infer T, infer D>
    ? D extends string
      ? T
      : T | null
    : never;
};
