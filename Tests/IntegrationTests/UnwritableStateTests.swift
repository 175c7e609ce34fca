import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// State and cache directories in which nothing can be written when a program starts.
    @Suite(.enabled(if: SmallDisk.isPossible, SmallDisk.reason)) struct UnwritableStateTests {
        private let model: SmallModel

        init() throws { model = try SmallModel() }

        private var place: String { model.directory.appending("place") }

        private func run(_ launcher: [String], _ command: [String]) async throws -> (code: Int32, errors: String) {
            let all = launcher + command
            let program = try RunningProgram(
                all[0], Array(all.dropFirst()), name: "program-\(UUID().uuidString)", in: model.directory)
            return (try await program.exitCode(), program.errors)
        }

        private func coordinator(_ directory: String) -> [String] {
            [Programs.daemon, "coordinator", "--bind", "tcp://127.0.0.1:0", "--state-directory", directory]
        }

        /// Expects one line, with these words, and no text for a debugger.
        private func expect(_ errors: String, _ words: String, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(errors.split(separator: "\n").count == 1, "\(errors)", sourceLocation: sourceLocation)
            #expect(errors.contains(words), "\(errors)", sourceLocation: sourceLocation)
            #expect(!errors.contains("errno") && !errors.contains(".partial"), sourceLocation: sourceLocation)
        }

        private static let readOnly = "the file system is read-only. Name another place with"

        @Test func `a coordinator whose state directory is read-only says so`() async throws {
            for (directory, words) in [
                (place, "nothing can be written in it"), ("\(place)/state", "the directory cannot be made"),
            ] {
                let (code, errors) = try await run(SmallDisk.readOnlyLauncher(for: place), coordinator(directory))
                #expect(code == 1)
                expect(errors, "\(directory): \(words): \(Self.readOnly) --state-directory, or mount it for writing.")
            }
        }

        @Test func `a worker whose cache directory is read-only says so`() async throws {
            for (directory, words) in [
                (place, "nothing can be written in it"), ("\(place)/cache", "the directory cannot be made"),
            ] {
                let (code, errors) = try await run(
                    SmallDisk.readOnlyLauncher(for: place), [Programs.daemon, "worker", "--cache-directory", directory])
                #expect(code == 2)
                expect(errors, "\(directory): \(words): \(Self.readOnly) --cache-directory, or mount it for writing.")
            }
        }

        @Test func `a run whose place is read-only or full says so before it starts a daemon`() async throws {
            let job = [Programs.client, "run", model.jobPath, "--quiet", "--state-directory", place]
            let (code, errors) = try await run(SmallDisk.readOnlyLauncher(for: place), job)
            #expect(code == 1)
            expect(errors, "\(Self.readOnly) --state-directory")
            let full = try await run(SmallDisk.fullLauncher(for: place), job)
            #expect(full.code == 1)
            expect(
                full.errors, "no space is left on the disk. Make room, or name another place with --state-directory.")
            #expect(!full.errors.contains("the coordinator ended"))
        }

        @Test func `a coordinator whose new state directory is full says so`() async throws {
            let (code, errors) = try await run(SmallDisk.fullLauncher(for: place), coordinator("\(place)/state"))
            #expect(code == 1)
            expect(
                errors,
                "\(place)/state: nothing can be written in it: no space is left on the disk. Make room, or name another "
                    + "place with --state-directory.")
        }
    }
}
