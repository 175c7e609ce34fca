import ArgumentParser
import Console
import Foundation
import Identifiers
import JobFiles
import KroneckerFactors
import Messaging
import SystemPackage
import WireProtocol

/// The options of `kfacctl push --rows`.
struct RowOptions: ParsableArguments {
    @Flag(help: "The files are captures of one task, and their rows are sent.")
    var rows = false

    @Option(help: "The run to which the sums belong.")
    var run: String?

    @Option(help: "The process of the run, from 0.")
    var rank: Int?

    @Option(help: "The number of sequences that the rank sent before.")
    var sequence: Int?

    @Option(help: "The task, if the captures do not name it, or another one than they name.")
    var task: String?

    @Option(help: "tak, expand or reduce, as the job has it; reduce makes one row of each sample's before it is sent.")
    var normalization: NormalizationOption?

    @Option(help: "The base checkpoint, which tells the biases of layers and the sizes of embeddings.")
    var base: String?

    @Option(help: "A pattern of the layers that have a bias, instead of --base; may be repeated, and ! leaves out.")
    var bias: [String] = []

    @Flag(help: "No layer has a bias, instead of --base.")
    var noBias = false

    @Flag(help: "Also state the exact trace of each layer, for \"balance: trace\"; this machine sums it first.")
    var balance = false

    /// The place in the run.
    var place: PartialsPlace { PartialsPlace(rank: rank ?? 0, sequence: sequence ?? 0) }

    /// Refuses options that do not go together.
    ///
    /// - Throws: `ValidationError`.
    func check() throws {
        guard rows else {
            let isUnused =
                run == nil && rank == nil && sequence == nil && task == nil && normalization == nil && base == nil
                && bias.isEmpty && !noBias && !balance
            guard isUnused else {
                throw ValidationError(
                    "Files of partial sums say their run, task and biases themselves. These options need --rows.")
            }
            return
        }
        guard let run else { throw ValidationError("--rows needs --run, the name of the run.") }
        guard RunName(rawValue: run).isValid else {
            throw ValidationError("\"\(run.excerpt)\" cannot name a run; expected \(RunName.requirement).")
        }
        for (name, number) in [("--rank", rank), ("--sequence", sequence)] {
            guard let number, !(0..<PartialsPlace.numberMax).contains(number) else { continue }
            throw ValidationError("\(name) is \(number); expected 0 to \(PartialsPlace.numberMax - 1).")
        }
    }
}

/// The normalization as an option.
enum NormalizationOption: String, ExpressibleByArgument, CaseIterable {
    case tak, expand, reduce

    var value: FactorNormalization {
        switch self {
        case .tak: .tak
        case .expand: .expand
        case .reduce: .reduce
        }
    }
}

/// Sends the rows of captures, which workers sum.
struct RowPush: Sendable {
    private let name: String
    private let captures: CaptureSet
    private let sums: CaptureSums
    private let offer: PushOffer
    private let isQuiet: Bool

    /// Checks the captures before the first byte is sent.
    ///
    /// - Throws: ``CommandFailure`` with the problems of all files.
    init(captures names: [String], _ options: RowOptions, isQuiet: Bool) throws {
        self.isQuiet = isQuiet
        name = names.count == 1 ? names[0] : "\(names[0]) and \(names.count - 1) more"
        let captures: CaptureSet
        do throws(JobFileError) {
            captures = try CaptureSet(opening: names.map { FilePath($0) })
        } catch {
            throw CommandFailure(.badInput, error.sentences.cutLines)
        }
        guard let task = options.task.map(TaskName.init(rawValue:)) ?? captures.task else {
            throw CommandFailure(.badInput, "\(names[0]): does not name its task. Name it with --task.")
        }
        let bias = try BiasStatement(base: options.base, patterns: options.bias, isNone: options.noBias)
        self.captures = captures
        sums = try CaptureSums(
            of: captures, task: task, normalization: options.normalization?.value ?? .tak, bias: bias,
            sumsTraces: options.balance)
        offer = PushOffer(
            run: RunName(rawValue: options.run ?? ""), place: options.place,
            host: ProcessInfo.processInfo.hostName, content: .rows(sums.offer))
    }

    /// Sends the rows, and waits while the coordinator is away or has no place; every attempt sends all rows.
    ///
    /// - Throws: ``CommandFailure`` when they are refused, or when the coordinator does not answer.
    func follow(_ client: CoordinatorClient) async throws {
        let (sentBytes, seconds) = try await PushPatience(name: name).repeating { progress in
            let reader = CaptureRowReader(captures, sums.sums)
            let display = PushDisplay(name: name, byteCount: sums.byteCount, isQuiet: isQuiet)
            let start = ContinuousClock.now
            let rows: @Sendable () async throws -> RowBatch? = { try await reader.next() }
            let sentBytes = try await client.sendRows(offer, rows: rows, commit: sums.commitment) { arrived in
                progress.note(arrived)
                display.show(arrived)
            }
            return (sentBytes, (ContinuousClock.now - start) / .seconds(1))
        }
        let place = "\(offer.place) of run \"\(offer.run.rawValue.excerpt)\""
        guard sentBytes > 0 || sums.byteCount == 0 else {
            return Terminal.note("\(name): was there already as \(place)")
        }
        Terminal.note(
            "\(name): pushed as \(place), \(Quantity.bytes(sentBytes)) of rows, \(Quantity.rate(sentBytes, within: seconds))"
        )
    }
}
