/**
 * The port of plain channels between instances: fire and forget, no memory. The call log publishes on
 * `call:<callId>`; rings go to `ringdown:user:<userId>`.
 */
export interface Channels {
  publish(channel: string, message: string): Promise<void>;
  /** Resolves once the transport has confirmed. `undo` never rejects. */
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>;
  /** 'down' as soon as the transport is known to be out of reach; 'up' when every subscription is back. */
  onHealth(listener: (health: 'up' | 'down') => void): () => void;
  health(): 'up' | 'down';
  close(): Promise<void>;
}
