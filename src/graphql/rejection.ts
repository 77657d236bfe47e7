import { REJECTION_CODES, type Rejection } from '../errors.ts';
import { builder } from './builder.ts';

const RejectionCodeRef = builder.enumType('RejectionCode', {
  description: 'Which rule said no. Clients switch on it; new ones may come, so have a default.',
  values: Object.fromEntries(
    Object.entries(REJECTION_CODES).map(([code, description]) => [code, { value: code, description }]),
  ) as { [Code in keyof typeof REJECTION_CODES]: { value: Code; description: string } },
});

export const RejectionRef = builder.objectRef<Rejection>('Rejection').implement({
  description:
    'Every rule that says no answers with data, never with a GraphQL error: clients switch on `code`.',
  fields: (t) => ({
    code: t.expose('code', { type: RejectionCodeRef }),
    message: t.exposeString('message', {
      description:
        'For developers: what is wrong and what to do about it; names the field where there is one.',
    }),
    retryAfterMs: t.exposeInt('retryAfterMs', {
      nullable: true,
      description: 'Milliseconds after which the same request may succeed; null where waiting does not help.',
    }),
  }),
});

/** `resolveType` of a union of a success and Rejection; no success has a field `code`. */
export function resultType<Success extends string>(success: Success) {
  return (value: object): Success | 'Rejection' => ('code' in value ? 'Rejection' : success);
}
