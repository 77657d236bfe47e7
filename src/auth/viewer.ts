/** Who asks: the token's `sub` and its scopes. */
export interface Viewer {
  readonly userId: string;
  readonly scopes: ReadonlySet<string>;
  /** When the token runs out, milliseconds since the epoch. */
  readonly tokenExpiresAt: number;
  /** What their address counts as for limits (rate-limits/address-key.ts); absent where it can't be relied on. */
  readonly addressKey?: string | undefined;
}
