import { builder } from '../graphql/builder.ts';
import { viewerOf } from '../graphql/context.ts';
import { assertValid, idProblem, invalid, member } from '../graphql/input.ts';
import { RejectionRef, resultType } from '../graphql/rejection.ts';
import type { DeviceView } from '../graphql/services.ts';

/** Browsers that are rung by web push while no page of the app is open in them. */

const DeviceRef = builder.objectRef<DeviceView>('Device').implement({
  description: 'A browser that is rung by web push. Where it can be reached and its keys are told to nobody.',
  fields: (t) => ({
    id: t.exposeID('id'),
    name: t.exposeString('name', { nullable: true, description: 'As it was registered.' }),
    createdAt: t.expose('createdAt', { type: 'DateTime' }),
    registeredAt: t.expose('registeredAt', {
      type: 'DateTime',
      description: 'When it registered last: an app does so at each start.',
    }),
  }),
});

const WebPushSubscriptionInput = builder.inputType('WebPushSubscriptionInput', {
  description: "What `PushSubscription.toJSON()` has, made with the server's `webPushKey`. A secret.",
  fields: (t) => ({
    endpoint: t.string({ required: true, description: 'An https URL, 2,000 characters at most.' }),
    p256dh: t.string({ required: true, description: 'Of `keys`: base64url, 65 bytes.' }),
    auth: t.string({ required: true, description: 'Of `keys`: base64url, 16 bytes.' }),
  }),
});

const RegisterDeviceInput = builder.inputType('RegisterDeviceInput', {
  fields: (t) => ({
    name: t.string({
      description: 'For the user to tell it by, 1 to 128 characters: `Firefox on the laptop`.',
    }),
    webPush: t.field({ type: WebPushSubscriptionInput, required: true }),
  }),
});

const RegisterDeviceSuccess = builder
  .objectRef<{ device: DeviceView }>('RegisterDeviceSuccess')
  .implement({ fields: (t) => ({ device: t.expose('device', { type: DeviceRef }) }) });

const RegisterDeviceResult = builder.unionType('RegisterDeviceResult', {
  types: [RegisterDeviceSuccess, RejectionRef],
  resolveType: resultType('RegisterDeviceSuccess'),
});

builder.queryFields((t) => ({
  devices: t.field({
    type: [DeviceRef],
    description:
      "The viewer's devices, the oldest first. One whose push service says that it is gone is dropped.",
    resolve: (_root, _args, context) => context.services.devices.devices(viewerOf(context)),
  }),

  webPushKey: t.string({
    nullable: true,
    description:
      'The public key for `PushManager.subscribe({applicationServerKey})`, base64url; null where this server sends no web push.',
    resolve: (_root, _args, context) => {
      viewerOf(context);
      return context.services.devices.webPushKey;
    },
  }),
}));

builder.mutationFields((t) => ({
  registerDevice: t.field({
    type: RegisterDeviceResult,
    description: `Rings reach this browser by web push from now on. The same subscription again is the same device, with its
name and keys as given now; one that another user registered is theirs no more. Rejections: INVALID_INPUT, WEB_PUSH_OFF,
TOO_MANY_DEVICES (the server's MAX_DEVICES, 20 unless set), TIMEOUT.`,
    args: { input: t.arg({ type: RegisterDeviceInput, required: true }) },
    resolve: async (_root, { input }, context) => {
      const viewer = viewerOf(context);
      const problem = idProblem('input.name', input.name);
      if (problem) return invalid(problem);
      const { name = null, webPush } = input;
      return member(await context.services.devices.register(viewer, { name, webPush }));
    },
  }),

  unregisterDevice: t.boolean({
    description: 'False where the viewer has no such device. Do it at sign-out. Errors: BAD_USER_INPUT.',
    args: { id: t.arg.id({ required: true }) },
    resolve: (_root, { id }, context) => {
      const viewer = viewerOf(context);
      assertValid(idProblem('id', id));
      return context.services.devices.unregister(viewer, id);
    },
  }),
}));
