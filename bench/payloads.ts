/**
 * What is sent: the same for every contender, each in the envelope of its own protocol. Where `NUMBER` stands, there
 * comes the number of the signal.
 */

export const NUMBER = '#number#';

export interface Payload {
  readonly name: string;
  /** As Ringdown's `SignalInput` has it, from the end at that place in its group. */
  signal(place: number): object;
  /** What stands before the sender's place (one digit, from 1) and the signal's number, once in a message. */
  readonly mark: string;
}

/** Five candidates, as they come when gathering begins: 1 KB of JSON. */
export const candidates: Payload = {
  name: '1 KB',
  mark: 'candidate:',
  signal: (place) => ({
    candidates: {
      items: [
        `candidate:${place + 1}${NUMBER} 1 udp 2122260223 192.168.17.4 60769 typ host generation 0 ufrag kQ3x network-id 1 network-cost 10`,
        'candidate:842163049 1 udp 1685987071 203.0.113.77 51472 typ srflx raddr 192.168.17.4 rport 51472 generation 0 ufrag kQ3x network-id 1 network-cost 10',
        'candidate:a2 1 udp 2122194687 192.168.17.4 51473 typ host generation 0 ufrag kQ3x network-id 2 network-cost 10',
        'candidate:a3 1 tcp 1518280447 192.168.17.4 9 typ host tcptype active generation 0 ufrag kQ3x network-id 1 network-cost 10',
        'candidate:a4 1 udp 41885439 198.51.100.9 61234 typ relay raddr 203.0.113.77 rport 51472 generation 0 ufrag kQ3x network-cost 50',
      ].map((candidate) => ({ candidate, sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'kQ3x' })),
      generation: 1,
    },
  }),
};

/** An offer of audio and video as a browser writes it: 4 KB of JSON. */
export const offers: Payload = {
  name: '4 KB',
  mark: 'o=- ',
  signal: (place) => ({ offer: { sdp: description(`${place + 1}${NUMBER}`), generation: 1 } }),
};

function description(id: string): string {
  const transport = (mid: number) => [
    'c=IN IP4 0.0.0.0',
    'a=rtcp:9 IN IP4 0.0.0.0',
    'a=ice-ufrag:kQ3x',
    'a=ice-pwd:9uB6wYkFzC0HnXq2vJt4RmLe',
    'a=ice-options:trickle',
    'a=fingerprint:sha-256 7B:8B:F0:65:5F:78:E2:51:3B:AC:6F:F3:3F:46:1B:35:DC:B8:5F:64:1A:24:C2:43:F0:A1:58:D0:A1:2C:19:08',
    'a=setup:actpass',
    `a=mid:${mid}`,
    'a=sendrecv',
    'a=msid:4f0e7b1c-6c1f-4f0a-9d37-3e2f8c2f8a11 9d2f5c70-0b1e-4c39-8e0f-a7d3c2b1e0f9',
    'a=rtcp-mux',
    'a=rtcp-rsize',
  ];
  const extensions = [
    'urn:ietf:params:rtp-hdrext:ssrc-audio-level',
    'http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time',
    'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
    'urn:ietf:params:rtp-hdrext:sdes:mid',
  ].map((uri, i) => `a=extmap:${i + 1} ${uri}`);
  const video = [96, 98, 100, 102, 104, 106, 108].flatMap((type, i) => [
    `a=rtpmap:${type} ${['VP8', 'VP9', 'VP9', 'H264', 'H264', 'H264', 'AV1'][i]}/90000`,
    `a=rtcp-fb:${type} goog-remb`,
    `a=rtcp-fb:${type} transport-cc`,
    `a=rtcp-fb:${type} ccm fir`,
    `a=rtcp-fb:${type} nack`,
    `a=rtcp-fb:${type} nack pli`,
    `a=fmtp:${type} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f`,
    `a=rtpmap:${type + 1} rtx/90000`,
    `a=fmtp:${type + 1} apt=${type}`,
  ]);
  const lines = [
    'v=0',
    `o=- ${id} 2 IN IP4 127.0.0.1`,
    's=-',
    't=0 0',
    'a=group:BUNDLE 0 1',
    'a=extmap-allow-mixed',
    'a=msid-semantic: WMS 4f0e7b1c-6c1f-4f0a-9d37-3e2f8c2f8a11',
    'm=audio 9 UDP/TLS/RTP/SAVPF 111 63 9 0 8',
    ...transport(0),
    ...extensions,
    'a=rtpmap:111 opus/48000/2',
    'a=rtcp-fb:111 transport-cc',
    'a=fmtp:111 minptime=10;useinbandfec=1',
    'a=rtpmap:63 red/48000/2',
    'a=fmtp:63 111/111',
    'm=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103 104 105 106 107 108 109',
    ...transport(1),
    ...extensions,
    ...video,
    'a=ssrc-group:FID 2231627014 632943048',
    'a=ssrc:2231627014 cname:4TOk42mSjXCkVIa6',
    'a=ssrc:2231627014 msid:4f0e7b1c-6c1f-4f0a-9d37-3e2f8c2f8a11 9d2f5c70-0b1e-4c39-8e0f-a7d3c2b1e0f9',
    'a=ssrc:632943048 cname:4TOk42mSjXCkVIa6',
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

/** The parts of a message's JSON between which the number stands: in strings, and as a number where it is all of one. */
export function parts(message: object | readonly unknown[], before = ''): readonly string[] {
  return (before + JSON.stringify(message)).split(new RegExp(`"${NUMBER}"|${NUMBER}`));
}

/** For a string that would be the number alone. */
export const NUMBER_TEXT = `n${NUMBER}`;
