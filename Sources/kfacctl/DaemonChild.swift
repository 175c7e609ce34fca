import Console
import FileAccess
import Foundation
import Synchronization

/// A daemon that this program started.
///
/// It ends when its standard input is closed, so that none is left even if this process is killed.
final class DaemonChild: Sendable {
    /// The daemon's name in messages.
    let name: String
    private let process: Process
    private let input = Pipe()
    private let output: ChildLines
    private let errors: ChildLines

    /// Starts a daemon.
    ///
    /// - Throws: ``CommandFailure`` when it cannot be started.
    init(_ name: String, _ program: URL, _ arguments: [String], environment: [String: String]) throws {
        self.name = name
        process = Process()
        process.executableURL = program
        process.arguments = arguments
        process.environment = environment
        // A directory that always exists. The path of the current one may vanish, and Foundation does not know it when
        // it is long.
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        let (outputPipe, errorPipe) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = outputPipe
        process.standardError = errorPipe
        do {
            try process.run()
        } catch {
            throw CommandFailure(
                .failed, "\(program.path): the \(name) cannot be started: \(SystemWords.text(of: error))")
        }
        output = ChildLines(outputPipe) { _ in }
        errors = ChildLines(errorPipe) { Terminal.note($0) }
    }

    var isRunning: Bool { process.isRunning }

    /// The exit status.
    var status: Int32 { process.terminationStatus }

    /// Shows the daemon's standard error on ours, from its first line on.
    func showErrors() { errors.show() }

    /// The longest wait for what an ended daemon wrote.
    ///
    /// Its pipe ends with it. A machine that stands still meanwhile must not cost the user the cause of the end.
    private static let wordsLimit: Duration = .seconds(10)

    /// The last lines of its standard error, for the message of a failure.
    var lastWords: String {
        errors.waitForEnd(within: isRunning ? .zero : Self.wordsLimit)
        let lines = errors.takeLast()
        return lines.isEmpty
            ? "It printed nothing." : "Its last words:\n" + lines.map { "  \($0)" }.joined(separator: "\n")
    }

    /// Waits for the first line on standard output.
    ///
    /// - Throws: ``CommandFailure`` with the daemon's last lines when it ends first or takes too long;
    ///   `CancellationError`.
    func firstLine(within limit: Duration) async throws -> String {
        let deadline = ContinuousClock.now + limit
        if let line = try await output.first(within: limit) { return line }
        try Task.checkCancellation()
        // A process ends after its output does.
        while isRunning, ContinuousClock.now < deadline { try await Task.sleep(for: .milliseconds(5)) }
        guard isRunning else {
            throw CommandFailure(.failed, "the \(name) ended before it was ready (status \(status)). \(lastWords)")
        }
        throw CommandFailure(
            .failed, "the \(name) was not ready within \(limit.components.seconds) s. \(lastWords)")
    }

    /// Asks the daemon to end.
    func endInput() { try? input.fileHandleForWriting.close() }

    /// Waits for the daemon's end, then kills it, and waits again for a bounded time.
    ///
    /// A process in a system call on a hanging disk does not end before the call does.
    func end(within limit: Duration) {
        endInput()
        wait(limit)
        if isRunning { kill(process.processIdentifier, SIGKILL) }
        wait(.seconds(5))
        if isRunning {
            Terminal.note("the \(name) (process \(process.processIdentifier)) does not end; its files stay.")
        }
        errors.show()
        errors.waitForEnd(within: isRunning ? .zero : Self.wordsLimit)
    }

    private func wait(_ limit: Duration) {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline, isRunning { usleep(5000) }
    }
}

/// The lines that a child writes to a pipe; a thread of their own reads them to the end.
private final class ChildLines: Sendable {
    private struct State {
        /// Bound: ``keptMax``.
        var last: [String] = []
        var isShown = false
        var hasEnded = false
    }

    private static let keptMax = 10

    private let state = Mutex(State())
    private let tell: @Sendable (String) -> Void
    /// The first line; the stream ends without it if there is none.
    private let firstLine: AsyncStream<String>
    private let firstLineSink: AsyncStream<String>.Continuation

    init(_ pipe: Pipe, tell: @escaping @Sendable (String) -> Void) {
        self.tell = tell
        (firstLine, firstLineSink) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1))
        let handle = pipe.fileHandleForReading
        Thread.detachNewThread { self.read(handle) }
    }

    /// Waits for the first line; only one caller may wait.
    ///
    /// - Returns: The line; `nil` if the output ends without one, or after the time.
    /// - Throws: `CancellationError`.
    func first(within limit: Duration) async throws -> String? {
        try await withThrowingTaskGroup(of: String?.self) { group in
            group.addTask { [firstLine] in await firstLine.first { _ in true } }
            group.addTask {
                try await Task.sleep(for: limit)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    /// The last lines; they count as shown, so that ``show()`` does not repeat them.
    func takeLast() -> [String] {
        state.withLock { state in
            defer { if !state.isShown { state.last = [] } }
            return state.last
        }
    }

    /// Shows the lines that were kept back, and from now on every line.
    func show() {
        state.withLock { state in
            guard !state.isShown else { return }
            state.isShown = true
            state.last.forEach(tell)
        }
    }

    func waitForEnd(within limit: Duration) {
        let deadline = ContinuousClock.now + limit
        while !state.withLock({ $0.hasEnded }), ContinuousClock.now < deadline { usleep(1000) }
    }

    private func read(_ handle: FileHandle) {
        var rest: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let count = Foundation.read(handle.fileDescriptor, &block, block.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            rest += block[..<count]
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                take(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
        }
        if !rest.isEmpty { take(String(decoding: rest, as: UTF8.self)) }
        state.withLock { $0.hasEnded = true }
        firstLineSink.finish()
    }

    private func take(_ line: String) {
        // The stream keeps the first one.
        firstLineSink.yield(line)
        state.withLock { state in
            if state.isShown { tell(line) }
            state.last = state.last.suffix(Self.keptMax - 1) + [line]
        }
    }
}
