/** The little that the SDK reads in an SDP; the server has validated it. */

/**
 * Names the peer connection that made the SDP: user name and session id of its `o=` line, which stay the
 * same for as long as it lives (RFC 8829 section 5.2.1).
 */
export function sessionOf(sdp: string): string {
  return /^o=(\S+ \S+)/m.exec(sdp)?.[1] ?? '';
}

/** Whether the SDP has these ICE credentials (RFC 8839 section 5.4); a candidate that names none fits any. */
export function hasFragment(sdp: string, usernameFragment: string | null | undefined): boolean {
  if (usernameFragment == null || usernameFragment === '') return true;
  return sdp.split(/\r?\n/).includes(`a=ice-ufrag:${usernameFragment}`);
}
