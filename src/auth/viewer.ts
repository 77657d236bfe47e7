/** Who asks: the token's `sub` and its scopes. */
export interface Viewer {
  readonly userId: string;
  readonly scopes: ReadonlySet<string>;
  /**
   * When what the token opens is closed, milliseconds since the epoch: at its `exp`. Where it is shown after
   * that, within the tolerance for clocks, at the end of the tolerance: a socket that is accepted and closed
   * in one breath would bring a client back with the same token, over and over.
   */
  readonly tokenExpiresAt: number;
  /** What their address counts as for limits (rate-limits/address-key.ts); absent where it can't be relied on. */
  readonly addressKey?: string | undefined;
}
