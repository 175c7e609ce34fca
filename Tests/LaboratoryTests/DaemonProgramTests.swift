import Foundation
import SystemPackage
import TestSupport
import Testing

@testable import Laboratory

@Suite(.timeLimit(.minutes(5)))
struct DaemonProgramTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// A program that runs a shell script in place of kfacctl.
    private func program(_ script: String) throws -> DaemonProgram {
        let path = try directory.write(Array("#!/bin/sh\n\(script)\n".utf8), to: "program")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return try DaemonProgram(at: FilePath(path))
    }

    private var job: CurvatureJob {
        CurvatureJob(
            baseModel: "/base.safetensors", models: [.init(name: "a", curvature: .captures("/a.safetensors"))],
            directory: FilePath(directory.appending("out/first")))
    }

    @Test func `the program is given the job file and the number of workers`() async throws {
        let arguments = directory.appending("arguments")
        let program = try program("echo \"$@\" > '\(arguments)'")
        try await program.run(job, workerCount: 3)
        let text = String(decoding: try directory.read("arguments"), as: UTF8.self)
        #expect(text == "run \(job.jobFile) --workers 3 --overwrite --quiet\n")
        #expect(String(decoding: try directory.read("out/first.yaml"), as: UTF8.self) == job.text)
    }

    @Test func `a success leaves the job file and no log`() async throws {
        try await program("echo fine").run(job)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.appending("out")).sorted() == [
                "first", "first.yaml",
            ])
    }

    @Test func `a failure carries the code and all that the program said`() async throws {
        let program = try program("echo out; echo 'error: no layer' >&2; exit 2")
        let found = await message { () async throws(LaboratoryError) in try await program.run(job) }
        #expect(found == "\(program.path) ended with code 2:\nout\nerror: no layer")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: directory.appending("out")).sorted() == [
                "first", "first.yaml",
            ])
    }

    @Test func `a program that a signal ends has the code of shells`() async throws {
        let program = try program("kill -9 $$")
        let found = await message { () async throws(LaboratoryError) in try await program.run(job) }
        #expect(found == "\(program.path) ended with code 137:\n")
    }

    @Test func `of a long output the end is kept`() async throws {
        let program = try program("seq 1 100000; exit 1")
        let found = await message { () async throws(LaboratoryError) in try await program.run(job) }
        #expect(found.hasSuffix("\n99999\n100000"))
        #expect(found.utf8.count < 17_000)
    }

    @Test func `a cancelled task ends the program`() async throws {
        let began = directory.appending("began")
        let program = try program("trap 'exit 130' TERM; touch '\(began)'; while :; do sleep 0.01; done")
        let job = job
        let task = Task { await message { () async throws(LaboratoryError) in try await program.run(job) } }
        // Whether it began or not, it must not outlive the test.
        defer { task.cancel() }
        // The suite's time limit cancels the sleep and so ends the loop.
        while !FileManager.default.fileExists(atPath: began) { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        #expect(await task.value == "interrupted.")
    }

    @Test func `a program that does not end when it is asked to is killed`() async throws {
        let began = directory.appending("began")
        var program = try program("trap '' TERM; touch '\(began)'; while :; do sleep 0.01; done")
        program.patience = .milliseconds(50)
        let (job, stubborn) = (job, program)
        let task = Task { await message { () async throws(LaboratoryError) in try await stubborn.run(job) } }
        defer { task.cancel() }
        while !FileManager.default.fileExists(atPath: began) { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        #expect(await task.value == "interrupted.")
    }

    @Test func `a task that is cancelled before does not start the program`() async throws {
        let began = directory.appending("began")
        let program = try program("touch '\(began)'")
        let job = job
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await message { () async throws(LaboratoryError) in try await program.run(job) }
        }
        #expect(await task.value == "interrupted.")
        #expect(!FileManager.default.fileExists(atPath: began))
    }

    @Test func `a program that is not there is named`() {
        let found = message { () throws(LaboratoryError) in _ = try DaemonProgram(at: "/nowhere/kfacctl") }
        #expect(found == "/nowhere/kfacctl cannot be started: there is no such program.")
    }

    @Test func `a program without its interpreter is named with the cause`() async throws {
        let path = try directory.write(Array("#!/nowhere/shell\n".utf8), to: "program")
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        let program = try DaemonProgram(at: FilePath(path))
        let found = await message { () async throws(LaboratoryError) in try await program.run(job) }
        #expect(found.hasPrefix("\(path) cannot be started: "))
    }

    @Test func `a directory that cannot be made is named`() async throws {
        try directory.write([], to: "file")
        var job = job
        job.directory = FilePath(directory.appending("file/out"))
        let program = try program("exit 0")
        let found = await message { () async throws(LaboratoryError) in try await program.run(job) }
        #expect(found.hasPrefix("\(job.directory) cannot be made: "))
    }
}
