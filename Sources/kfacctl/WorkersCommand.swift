import ArgumentParser
import Console
import Identifiers
import WireProtocol

/// `kfacctl workers`.
struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Lists the workers: lanes, memory, kernel set, load.")

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
                        "memory_bytes": worker.hello.memoryBytes, "kernels": worker.hello.kernelSet,
                        "leased_units": worker.leasedUnits, "started_units": worker.startedUnits,
                        "finished_units": worker.finishedUnits,
                    ]
                })
            return
        }
        var table = TextTable(["WORKER", "HOST", "LANES", "MEMORY", "KERNELS", "RUNNING", "QUEUED", "FINISHED"])
        for worker in workers {
            table.add([
                worker.hello.worker.rawValue, worker.hello.host, "\(worker.hello.lanes)",
                Quantity.bytes(worker.hello.memoryBytes), worker.hello.kernelSet, "\(worker.startedUnits)",
                "\(worker.leasedUnits - worker.startedUnits)", "\(worker.finishedUnits)",
            ])
        }
        Terminal.print(table.text)
    }
}
