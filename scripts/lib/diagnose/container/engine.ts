/**
 * What the container checks ask of a Docker engine: three questions, none of which changes anything. A dockerode client
 * fits; opening one is for the host room.
 */

export interface ListedContainer {
  readonly Id: string
}

export interface ListedImage {
  readonly Id: string
  /** Seconds since the epoch. */
  readonly Created: number
}

/** The part that is read of `GET /containers/{id}/json`, Engine API 1.41; older and other engines leave some out. */
export interface InspectedContainer {
  readonly Id: string
  readonly Name: string
  readonly Created: string
  readonly Image: string
  readonly RestartCount: number
  readonly State: {
    readonly Status: string
    readonly OOMKilled: boolean
    readonly ExitCode: number
    readonly Error: string
    readonly StartedAt: string
    readonly FinishedAt: string
    readonly Health?:
      | {
          readonly Status: string
          readonly FailingStreak: number
          readonly Log?: readonly { readonly ExitCode: number; readonly Output: string }[] | null
        }
      | undefined
  }
  readonly Config: {
    readonly Image: string
    readonly Tty: boolean
    readonly Labels?: Readonly<Record<string, string>> | null
  }
  readonly HostConfig: {
    readonly Memory?: number | undefined
    readonly RestartPolicy?: { readonly Name?: string | undefined } | undefined
  }
}

interface Cancelable {
  readonly abortSignal?: AbortSignal
}

export interface ContainerEngine {
  listContainers(options: { readonly all: boolean } & Cancelable): Promise<readonly ListedContainer[]>
  listImages(options: Cancelable): Promise<readonly ListedImage[]>
  getContainer(id: string): {
    inspect(options: Cancelable): Promise<InspectedContainer>
    logs(options: LogOptions): Promise<Buffer>
  }
}

export interface LogOptions extends Cancelable {
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tail: number
  readonly follow: false
}
