import { SignJWT } from 'jose';
import { type Config, type JwtConfig, TIMINGS } from '../config.ts';

/** Made-up people to try the server out with. They exist where `config.demo` says so, nowhere else. */
export const DEMO_USERS = [
  { id: 'ada', name: 'Ada' },
  { id: 'ben', name: 'Ben' },
  { id: 'cleo', name: 'Cleo' },
  { id: 'dan', name: 'Dan' },
  { id: 'eve', name: 'Eve' },
  { id: 'finn', name: 'Finn' },
] as const;

export interface DemoTokens {
  /** What the server has to trust so that these tokens open it. */
  readonly jwt: JwtConfig;
  readonly users: readonly { readonly id: string; readonly name: string; readonly token: string }[];
  /** Of the user `operator`, with the scopes `service` and `admin`. */
  readonly operatorToken: string;
}

/**
 * Signs a token for each demo user. Throws unless the configuration is a demo's, so that no other server
 * can be made to hand out tokens by mistake. `secret`: random, 32 bytes or more. `now`: epoch ms.
 */
export async function createDemoTokens(
  config: Pick<Config, 'demo'>,
  secret: string,
  now: () => number = Date.now,
): Promise<DemoTokens> {
  if (!config.demo)
    throw new Error('Demo tokens are for a demo alone: embedded, not production, no JWT setting.');
  const trusted = { issuer: 'ringdown-demo', audience: 'ringdown-demo' };
  const jwt: JwtConfig = { secret, previousSecret: null, jwksUrl: null, ...trusted };
  const key = new TextEncoder().encode(secret);
  const sign = (userId: string, scope: string) =>
    new SignJWT({ scope })
      .setProtectedHeader({ alg: 'HS256' })
      .setIssuer(jwt.issuer)
      .setAudience(jwt.audience)
      .setSubject(userId)
      .setIssuedAt(new Date(now()))
      .setExpirationTime(new Date(now() + TIMINGS.demoTokenMs))
      .sign(key);
  return {
    jwt,
    users: await Promise.all(DEMO_USERS.map(async (user) => ({ ...user, token: await sign(user.id, '') }))),
    operatorToken: await sign('operator', 'service admin'),
  };
}
