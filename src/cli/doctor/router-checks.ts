import { TLSSocket } from "node:tls";
import { findRoute } from "../proxy/route.ts";
import type { Doctor, Finding } from "./looking.ts";

const DIAL_MS = 10_000;
const DAY_MS = 86_400_000;
/** A certificate that ends sooner is complained of. */
const SOON_DAYS = 7;

/** Whether routers are ready. */
export async function routers(looking: Doctor): Promise<Finding[]> {
  if (looking.flags.router !== undefined) {
    return [];
  }
  const pods = await looking.routerPods();
  const ready = pods.filter(({ isReady }) => isReady);
  const [first] = pods;
  if (ready.length > 0 || first === undefined) {
    return [
      {
        state: "ok",
        what: `${ready.length} of ${pods.length} routers in namespace ${first?.namespace ?? ""} are ready`,
      },
    ];
  }
  return [
    {
      state: "bad",
      what: `none of ${pods.length} routers in namespace ${first.namespace} is ready`,
      mend: `kubectl describe pod -n ${first.namespace} ${first.name}; kubectl logs -n ${first.namespace} ${first.name} -c router`,
    },
  ];
}

/** Whether a router is reached, and what it shows. */
export async function router(looking: Doctor): Promise<Finding[]> {
  const { connection, flags, context } = looking;
  if (flags.router === undefined && !(await looking.hasRouterPods())) {
    return []; // The check before has said so.
  }
  const satellite = { namespace: connection.namespace, name: "doctor" };
  const route = await findRoute(satellite, flags, () => connection, context);
  const stream = await route.dial(AbortSignal.any([context.stop, AbortSignal.timeout(DIAL_MS)]));
  stream.on("error", () => {});
  const certificate = stream instanceof TLSSocket ? certificateFinding(stream, context.clock.now()) : [];
  stream.destroy();
  return [
    { state: "ok", what: `a router is reached: ${route.description}` },
    ...certificate,
    ...(route.needsToken || flags.clientCert !== undefined
      ? [{ state: "ok" as const, what: `it asks who calls: tokens for the audience ${route.audience}` }]
      : [
          {
            state: "unknown" as const,
            what: "no credential is shown to it: either it asks for none, or name one",
          },
        ]),
  ];
}

function certificateFinding(socket: TLSSocket, now: Date): Finding[] {
  const { subjectaltname = "no names", valid_to: end } = socket.getPeerCertificate();
  const days = (Date.parse(end) - now.getTime()) / DAY_MS;
  const what = `its certificate bears ${subjectaltname} and ends ${end}`;
  return days > SOON_DAYS
    ? [{ state: "ok", what }]
    : [
        {
          state: "bad",
          what,
          mend: "renew the Secret of router.tls.secretName; routers read it again by themselves",
        },
      ];
}
