import ArgumentParser
import Console
import Identifiers
import UnitOperations
import WireProtocol

/// `kfacctl workers`.
struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Lists the workers: lanes, memory, numeric regime, load.")

    @Option(name: .shortAndLong, help: "table or json.")
    var output: OutputFormat = .table

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let workers = try await connection.withClient { try await $0.workers() }
        guard output == .table else {
            try JSONOutput.print(
                "workers",
                workers.map { worker in
                    [
                        "worker": worker.hello.worker.rawValue, "host": worker.hello.host, "lanes": worker.hello.lanes,
                        "memory_bytes": worker.hello.memoryBytes, "kernels": worker.hello.regime.kernels,
                        "elements": worker.hello.regime.elements,
                        "leased_units": worker.leasedUnits, "started_units": worker.startedUnits,
                        "finished_units": worker.finishedUnits, "held_blobs": worker.heldBlobs,
                        "held_bytes": worker.heldBytes, "draining": worker.isDraining,
                    ]
                })
            return
        }
        Terminal.print(WorkerTable.text(of: workers))
    }
}

/// `kfacctl drain`.
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Lets a worker finish what it computes, and leave; what others need of its blobs is fetched first.")

    @Argument(help: "The worker's name, as \"kfacctl workers\" shows it, or as it was started with --name.")
    var worker: String

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        try await connection.withClient { client in
            guard case .workers(let workers) = try await client.ask(.drain(WorkerID(rawValue: worker))).reply else {
                return
            }
            let units = workers.first?.startedUnits ?? 0
            let name = workers.first?.hello.worker.rawValue ?? worker
            Terminal.note("\(name) drains; \(units) units are under way there")
        }
    }
}

/// Workers as a table.
enum WorkerTable {
    static func text(of workers: [WorkerReport]) -> String {
        var table = TextTable([
            "WORKER", "STATE", "HOST", "LANES", "MEMORY", "REGIME", "RUNNING", "QUEUED", "FINISHED", "HOLDS",
        ])
        for worker in workers {
            table.add([
                worker.hello.worker.rawValue, worker.isDraining ? "draining" : "ready", worker.hello.host,
                "\(worker.hello.lanes)", Quantity.bytes(worker.hello.memoryBytes), worker.hello.regime.description,
                "\(worker.startedUnits)", "\(worker.leasedUnits - worker.startedUnits)", "\(worker.finishedUnits)",
                "\(worker.heldBlobs) blobs, \(Quantity.bytes(worker.heldBytes))",
            ])
        }
        return table.text
    }
}
