// swift-tools-version: 6.2
// Runs the decoders of untrusted input with inputs from libFuzzer. A package of its own, because all of it is built
// with instrumentation; see `run` beside this file.

import PackageDescription

let package = Package(
    name: "Fuzz",
    dependencies: [.package(name: "kfacd", path: "..")],
    targets: [
        .executableTarget(
            name: "Fuzz",
            dependencies: [.product(name: "FuzzEntries", package: "kfacd")],
            // libFuzzer has the main function.
            swiftSettings: [.treatAllWarnings(as: .error), .unsafeFlags(["-parse-as-library"])])
    ]
)
