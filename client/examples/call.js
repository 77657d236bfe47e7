// A page on which two people call each other. Open it as ?user=ben, then as ?user=ada&call=ben.
import { LocalMedia, Ringdown } from '@ringdown/client';

const asked = new URLSearchParams(location.search);
const server = asked.get('server') ?? 'http://127.0.0.1:4000';

// In your app: fetch('/api/ringdown-token'), from your own back end.
const token = async () => (await fetch(`/token?user=${asked.get('user')}`)).text();

const ringdown = new Ringdown({ url: server, token });
const media = new LocalMedia();
await media.open({ camera: true, microphone: true });

function show(call) {
  call.on('track', ({ source, stream }) => {
    if (source !== 'screen') document.querySelector('video').srcObject = stream;
  });
  call.on('ended', ({ over }) => {
    document.title = `Ended: ${over.reason}`;
  });
}

ringdown.on('incomingCall', async (ring) => show(await ring.answer({ media })));
await ringdown.connect();
const callee = asked.get('call');
if (callee) show(await ringdown.start({ conversationId: 'room-7', calleeIds: [callee], media }));
