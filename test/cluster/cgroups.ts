import { existsSync, globSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const MOUNT = "/sys/fs/cgroup";
const PREFIX = "satellites-node-";

/** Hierarchies of cgroup v1 (and the empty one of v2 beside them) that a kubelet has to find its root in. */
function hierarchies(): string[] {
  return globSync(`${MOUNT}/*/`).filter((folder) => existsSync(join(folder, "cgroup.procs")));
}

/** Why this machine's control groups will not do; undefined where they will. */
export function whyNoCgroups(): string | undefined {
  if (existsSync(join(MOUNT, "cgroup.controllers"))) {
    return "the machine has cgroup v2 alone, which was never tried here";
  }
  const wanted = ["cpu", "memory", "pids", "cpuset"].filter((name) => !existsSync(join(MOUNT, name)));
  if (wanted.length > 0) {
    return `no cgroups of kind ${wanted.join(", ")} in ${MOUNT}`;
  }
  const trial = join(MOUNT, "memory", `${PREFIX}trial-${process.pid}`);
  try {
    mkdirSync(trial);
    rmdirSync(trial);
    return undefined;
  } catch {
    return `nothing can be written to ${MOUNT}`;
  }
}

/** Removes a group and all below it; one that still holds a process stays. Returns whether it is gone. */
function remove(folder: string): boolean {
  // Deepest first: a group that holds groups cannot be removed.
  const all = [folder, ...globSync(`${folder}/**/`)].toSorted((a, b) => b.length - a.length);
  for (const each of all) {
    try {
      rmdirSync(each);
    } catch {
      // Gone already, or not empty yet: the caller looks.
    }
  }
  return !existsSync(folder);
}

/** The root under which the pods of each node get their control groups. */
export class NodeCgroups {
  /** Path from a hierarchy's root. Each node has a group of its name in it. */
  readonly root = `/${PREFIX}${process.pid}`;

  /** Makes it and the nodes' in every hierarchy, and removes those of nodes whose process was killed. */
  static make(nodes: readonly string[]): NodeCgroups {
    for (const left of globSync(`${MOUNT}/*/${PREFIX}*/`)) {
      if (!existsSync(`/proc/${basename(left).slice(PREFIX.length)}`)) {
        remove(left);
      }
    }
    const groups = new NodeCgroups();
    for (const path of ["", ...nodes]) {
      for (const folder of groups.#folders()) {
        mkdirSync(join(folder, path));
      }
      // A new group of this kind takes no process before it is told its processors and memory (cgroup-v1/cpusets.rst).
      for (const file of ["cpuset.cpus", "cpuset.mems"]) {
        writeFileSync(
          join(MOUNT, "cpuset", groups.root, path, file),
          readFileSync(join(MOUNT, "cpuset", file), "utf8"),
        );
      }
    }
    return groups;
  }

  /** Removes it once its processes have ended. Returns what is still there. */
  remove(): string[] {
    return this.#folders().filter((folder) => !remove(folder));
  }

  #folders(): string[] {
    return hierarchies().map((hierarchy) => join(hierarchy, this.root));
  }
}
