import Foundation
import TestSupport
import Testing

extension SerialIntegrationTests {
    /// The coordinator's page in the layout of a real browser.
    @Suite(.enabled(if: Browser.isThere, "there is no chromium (Debian: chromium)")) struct BrowserTests {
        private static let pages = ["KFACD_HTTP": "127.0.0.1:0"]

        /// Requests the page while one job runs and another has ended.
        private func withPage(_ body: @escaping @Sendable (String) throws -> Void) async throws {
            let (ended, running) = (try SmallModel(seed: 1), try SmallModel(seed: 2))
            try await Cluster.with(environment: Self.pages) { cluster in
                let worker = try cluster.startWorker("looked-at", environment: Self.pages)
                let port = try await cluster.coordinator.statusPort()
                try await cluster.waitForWorkers(1)
                try await cluster.waitForSuccess(try await cluster.submit(ended.jobPath))
                try await worker.stop()
                let job = try await cluster.submit(running.jobPath)
                defer { worker.resume() }
                let page = try HTTPReply(get: "/", port: port).body
                for part in ["Layers of \(job)", "Ended jobs", "Units finished, by minute", "Workers"] {
                    #expect(page.contains("<h2>\(part)</h2>"), "\(part)")
                }
                try body(page)
            }
        }

        @Test func `on a phone, a small and a large screen nothing is cut off and no word is broken`() async throws {
            try await withPage { page in
                for width in [360, 820, 1400] {
                    let layout = try Browser.layout(of: page, width: width)
                    #expect(layout.pageWidth <= width, "\(width)")
                    #expect(layout.brokenWords.isEmpty, "\(width): \(layout.brokenWords)")
                    #expect(layout.textOutside.isEmpty, "\(width): \(layout.textOutside)")
                    #expect(layout.pictures > 0)
                    // When a row is too wide for the page, its cells stand below each other.
                    #expect(layout.isStacked == (width < 960))
                }
            }
        }
    }
}

/// Measurements of a page in a browser.
struct BrowserLayout: Decodable {
    /// The page's width, including parts that overflow.
    let pageWidth: Int
    /// States and names without a space that are broken over several lines.
    let brokenWords: [String]
    /// Texts that extend beyond the page.
    let textOutside: [String]
    /// Visible pictures.
    let pictures: Int
    /// Whether the cells of a row stand below each other.
    let isStacked: Bool
}

/// Chromium without a window.
enum Browser {
    private static let program = "/usr/bin/chromium"

    static var isThere: Bool { FileManager.default.isExecutableFile(atPath: program) }

    /// Lays out a page in a frame of a given width, and measures it there.
    static func layout(of page: String, width: Int) throws -> BrowserLayout {
        let directory = try TemporaryDirectory()
        // The page runs no script, so a surrounding page measures it.
        let quoted = String(
            decoding: try JSONEncoder().encode(page.replacing("http-equiv", with: "data-was")), as: UTF8.self)
        let probe = """
            <!DOCTYPE html><meta charset="utf-8"><pre id="result"></pre>
            <iframe id="frame" width="\(width)" height="2000" style="border: 0"></iframe>
            <script>
            const frame = document.getElementById("frame");
            frame.onload = () => {
              const inside = frame.contentDocument, root = inside.documentElement;
              const lines = element => new Set([...element.getClientRects()].map(box => Math.round(box.top))).size;
              const words = [...inside.querySelectorAll(".state, td:not(:last-child) > div, th")]
                .filter(element => element.children.length == 0 && element.textContent.length < 16
                  && !/[\\s\\/]/.test(element.textContent.trim()));
              const spread = words.filter(element => {
                const range = inside.createRange();
                range.selectNodeContents(element);
                return lines(range) > 1;
              });
              const outside = [...inside.querySelectorAll("h1, h2, p, td > div, figcaption")].filter(element => {
                const box = element.getBoundingClientRect();
                return box.right > \(width) + 1 || box.left < -1;
              });
              const cells = inside.querySelectorAll("tbody tr:first-child td");
              document.getElementById("result").textContent = JSON.stringify({
                pageWidth: root.scrollWidth, brokenWords: spread.map(element => element.textContent),
                textOutside: outside.map(element => element.textContent.slice(0, 60)),
                pictures: [...inside.querySelectorAll("svg")].filter(picture => picture.clientWidth > 0).length,
                isStacked: cells[0].getBoundingClientRect().top != cells[1].getBoundingClientRect().top,
              });
            };
            frame.srcdoc = \(quoted.replacing("</", with: "<\\/"));
            </script>
            """
        let file = directory.appending("probe.html")
        try probe.write(toFile: file, atomically: true, encoding: .utf8)
        let output = try run([
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--virtual-time-budget=5000",
            "--user-data-dir=\(directory.appending("profile"))", "--dump-dom", "file://\(file)",
        ])
        let result = try #require(output.split(separator: "<pre id=\"result\">").last?.split(separator: "</pre>").first)
        let text = result.replacing("&amp;", with: "&").replacing("&lt;", with: "<").replacing("&gt;", with: ">")
        return try JSONDecoder().decode(BrowserLayout.self, from: Data(text.utf8))
    }

    private static func run(_ arguments: [String]) throws -> String {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
        process.arguments = ["60", program] + arguments
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
