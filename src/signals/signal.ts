/**
 * What participants send one another, as the contract's `Signal` union has it. The server validates and
 * carries a signal; it never acts on what is in it.
 */

export interface SessionDescription {
  /** SDP, RFC 8866. */
  readonly sdp: string;
  /** One above the highest seen on the link for an offer; its offer's for an answer. */
  readonly generation: number;
}

/** W3C RTCIceCandidateInit; `candidate: ''` is end-of-candidates. */
export interface IceCandidate {
  readonly candidate: string;
  readonly sdpMid: string | null;
  readonly sdpMLineIndex: number | null;
  readonly usernameFragment: string | null;
}

/** A signal as it is stored and delivered; `__typename` is what GraphQL resolves the union by. */
export type Signal =
  | ({ readonly __typename: 'Offer' } & SessionDescription)
  | ({ readonly __typename: 'Answer' } & SessionDescription)
  | {
      readonly __typename: 'IceCandidates';
      readonly items: readonly IceCandidate[];
      readonly generation: number;
    }
  | { readonly __typename: 'Renegotiate'; readonly iceRestart: boolean };
